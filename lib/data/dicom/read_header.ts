/** Reads no more of a DICOM file than its header needs, so that a scan of many thousands is quick. */

import { constants, gunzipSync } from "node:zlib";
import { InputError } from "../../errors.ts";
import { asInputError } from "../../io/read.ts";
import { LIMITS } from "../../io/limits.ts";
import { ExcessError } from "./bounded.ts";
import { type ParsedDicom, parseHeader } from "./header.ts";
import { hasDicomMarker, withPreamble } from "./preamble.ts";

/** Most CT headers are 2 to 10 kB; a second read costs more than the few that are longer. */
const FIRST_BYTES = 2 ** 14;
/** SOP classes of stored objects begin so. */
const STORAGE = "1.2.840.10008.5.1.4.1.";

/**
 * The header of `path`, a gzip file or not, or null where it is no DICOM file at all.
 * The returned bytes are only the piece that was read.
 * @throws InputError naming `path`, for a file that has the marker but cannot be read.
 */
export function readHeader(path: string): ParsedDicom | null {
  let file: Deno.FsFile | undefined;
  try {
    file = Deno.openSync(path);
    let bytes = readUpTo(file, new Uint8Array(FIRST_BYTES), 0);
    if (isGzip(bytes)) return beginsAsDicom(bytes) ? readWhole(path) : null;
    if (!withPreamble(bytes)) return null;
    const isSure = hasDicomMarker(bytes);
    // What only looks like DICOM, and is not, is some other file.
    const refused = (error: unknown): null => {
      if (isSure) throw error;
      return null;
    };
    for (;;) {
      try {
        const parsed = parseHeader(bytes, path);
        return isSure || parsed.header.sopClass.startsWith(STORAGE) ? parsed : null;
      } catch (error) {
        // Either the header goes on beyond what was read, or it is damaged: more bytes decide.
        const excess = error instanceof Error && error.cause instanceof ExcessError;
        if (excess || bytes.length >= LIMITS.dicom.header) return refused(error);
        const size = Math.min(bytes.length * 8, LIMITS.dicom.header);
        const longer = new Uint8Array(size);
        longer.set(bytes);
        const more = readUpTo(file, longer, bytes.length);
        if (more.length === bytes.length) return refused(error);
        bytes = more;
      }
    }
  } catch (error) {
    throw asInputError(error, path);
  } finally {
    file?.close();
  }
}

function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Is the beginning of a gzip file that of a DICOM file? */
function beginsAsDicom(bytes: Uint8Array): boolean {
  try {
    const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: LIMITS.dicom.header };
    return hasDicomMarker(gunzipSync(bytes, options));
  } catch {
    return false;
  }
}

function readUpTo(file: Deno.FsFile, into: Uint8Array, from: number): Uint8Array {
  let at = from;
  while (at < into.length) {
    const got = file.readSync(into.subarray(at));
    if (got === null) break;
    at += got;
  }
  return into.subarray(0, at);
}

/** The whole of a DICOM file, parsed. @throws InputError naming `path`. */
export function readWhole(path: string): ParsedDicom {
  let bytes: Uint8Array;
  try {
    const { size } = Deno.statSync(path), most = LIMITS.dicom.file;
    if (size > most) {
      throw new InputError(`Cannot read "${path}": ${size} bytes, at most ${most} are accepted`);
    }
    bytes = Deno.readFileSync(path);
    if (isGzip(bytes)) bytes = gunzipped(bytes, path);
  } catch (error) {
    throw asInputError(error, path);
  }
  return parseHeader(bytes, path);
}

function gunzipped(bytes: Uint8Array, path: string): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: LIMITS.dicom.file });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`Cannot read "${path}": damaged gzip data: ${reason}`);
  }
}
