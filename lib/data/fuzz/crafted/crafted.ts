/**
 * Files made to hurt their readers: small on disk, large in what they claim. Each is made anew where
 * it is needed; holes in sparse files stand for zeros that nobody has to store.
 */

import { constants, deflateRawSync } from "node:zlib";

/** Bytes, and holes of so many zeros. */
export type Content = readonly (Uint8Array | string | number)[];

export interface Crafted {
  /** What it does, for the report. */
  name: string;
  /** With its ending, by which its reader is found. */
  file: string;
  /** Made when it is written; a folder of several where it is a list of contents. */
  content(): Content | Content[];
  /** Of a header: the file of its voxels, that is written beside it. */
  beside?: { ending: string; content(): Content };
  /** It is a good file after all, or what is wrong with it is passed over. */
  mayBeRead?: boolean;
}

const encoder = new TextEncoder();

export const text = (value: string): Uint8Array => encoder.encode(value);

export const repeat = (value: string, times: number): Uint8Array =>
  text(value.repeat(Math.floor(times)));

/** Writes a file, or a folder of them, at `path`. */
export function writeCrafted(crafted: Crafted, path: string): void {
  const content = crafted.content();
  if (!Array.isArray(content[0])) {
    writeContent(content as Content, path);
    const { beside } = crafted;
    if (beside) writeContent(beside.content(), path.replace(/\.[^./]+$/, beside.ending));
    return;
  }
  Deno.mkdirSync(path);
  for (const [i, one] of (content as Content[]).entries()) writeContent(one, `${path}/${i}`);
}

function writeContent(content: Content, path: string): void {
  using file = Deno.openSync(path, { write: true, createNew: true });
  let at = 0;
  for (const part of content) {
    if (typeof part === "number") {
      at += part;
      file.seekSync(at, Deno.SeekMode.Start);
      continue;
    }
    const bytes = typeof part === "string" ? text(part) : part;
    for (let done = 0; done < bytes.length;) done += file.writeSync(bytes.subarray(done));
    at += bytes.length;
  }
  file.truncateSync(at);
}

export function u32(value: number, little = true): Uint8Array {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value, little);
  return out;
}

export function u64(value: bigint): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, value, true);
  return out;
}

/** A raw deflate stream of so many MiB of zeros, a thousandth as long, and without an end. */
export function deflateBomb(mebibytes: number): Uint8Array[] {
  const part = 16;
  const flushed = deflateRawSync(new Uint8Array(part * 2 ** 20), {
    finishFlush: constants.Z_FULL_FLUSH,
  });
  return Array.from({ length: Math.ceil(mebibytes / part) }, () => flushed);
}

/** Text that a terminal would obey: colours, a new title, a cleared screen, writing backwards. */
export const HOSTILE_TEXT = "\x1b[31m\x1b]0;owned\x07\x1b[2J\x9b31m\r\nok\u202egnp.\u2028\u2066";
