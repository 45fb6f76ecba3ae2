/** Files piece by piece, inflated where they are compressed: never whole in memory. */

import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { asInputError, requireFile } from "./read.ts";

const CHUNK = 2 ** 20;

/** @throws InputError where `path` cannot be read, or is larger than `maxBytes`. */
export async function* fileChunks(
  path: string,
  maxBytes: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  try {
    await requireFile(path, maxBytes);
    using file = await Deno.open(path);
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
  const gunzip = createGunzip({ chunkSize: CHUNK });
  const input = Readable.from(source(), { objectMode: false });
  let failure: unknown;
  input.on("error", (error: unknown) => {
    failure = error;
    gunzip.destroy();
  });
  try {
    for await (const chunk of input.pipe(gunzip)) yield chunk;
  } catch (error) {
    throw failure ?? fail(`damaged gzip data: ${error instanceof Error ? error.message : error}`);
  } finally {
    input.destroy();
  }
  if (failure) throw failure;
}
