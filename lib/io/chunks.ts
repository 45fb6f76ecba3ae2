/** Files piece by piece, inflated where they are compressed: never whole in memory. */

import { Readable } from "node:stream";
import { createUnzip } from "node:zlib";
import { asInputError, requireFile } from "./read.ts";

const CHUNK = 2 ** 20;

/** @throws InputError where `path`, read from byte `from`, cannot be read or is larger than `maxBytes`. */
export async function* fileChunks(
  path: string,
  maxBytes: number,
  from = 0,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  try {
    await requireFile(path, maxBytes);
    using file = await Deno.open(path);
    if (from > 0) await file.seek(from, Deno.SeekMode.Start);
    for (;;) {
      const chunk = new Uint8Array(CHUNK), read = await file.read(chunk);
      if (read === null) return;
      yield chunk.subarray(0, read);
    }
  } catch (error) {
    throw asInputError(error, path);
  }
}

/**
 * The same, inflated if it begins as gzip does. It may end anywhere: count what comes.
 * @param fail makes the error for damaged data from the reason.
 */
export async function* unzipped(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  fail: (why: string) => Error,
): AsyncGenerator<Uint8Array> {
  const iterator = Symbol.asyncIterator in chunks
    ? chunks[Symbol.asyncIterator]()
    : chunks[Symbol.iterator]();
  const first = await iterator.next();
  if (first.done) return;
  const source = async function* () {
    yield first.value;
    for (;;) {
      const next = await iterator.next();
      if (next.done) return;
      yield next.value;
    }
  };
  const [a, b] = first.value;
  if (a !== 0x1f || b !== 0x8b) {
    yield* source();
    return;
  }
  yield* inflated(source(), fail);
}

/**
 * Inflated, by gzip or zlib as they begin. It may end anywhere: count what comes.
 * @param fail makes the error for damaged data from the reason.
 */
export async function* inflated(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  fail: (why: string) => Error,
): AsyncGenerator<Uint8Array> {
  const unzip = createUnzip({ chunkSize: CHUNK });
  const input = Readable.from(source, { objectMode: false });
  let failure: unknown;
  input.on("error", (error: unknown) => {
    failure = error;
    unzip.destroy();
  });
  try {
    for await (const chunk of input.pipe(unzip)) yield chunk;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    // The first header was looked at before: it is what lies behind the data.
    const advice = why === "incorrect header check"
      ? "; bytes that are no compressed data lie behind it: gunzip drops them"
      : "";
    throw failure ?? fail(`damaged compressed data: ${why}${advice}`);
  } finally {
    input.destroy();
  }
  if (failure) throw failure;
}
