/** How far apart the pixels of prepared slices are: `prepare` says so in its manifest.json. */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { fileChunks } from "../io/chunks.ts";

/** mm between rows, between columns. */
export type PixelSpacing = readonly [number, number];

const isSpacing = (value: unknown): value is PixelSpacing =>
  Array.isArray(value) && value.length === 2 &&
  value.every((mm) => typeof mm === "number" && mm >= 0.01 && mm <= 100);

/**
 * The spacing of each slice by its file's path below `dir`; empty where there is no manifest.json. It
 * holds a series a line, and may be long: only a line at a time is in memory.
 *
 * @throws InputError where a line that begins as a series is none.
 */
export async function manifestSpacings(dir: string): Promise<Map<string, PixelSpacing>> {
  const path = join(dir, "manifest.json"), spacings = new Map<string, PixelSpacing>();
  if (!await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return spacings;
  for await (const line of lines(path)) {
    if (!line.startsWith("{") || !line.includes('"pixelSpacing"')) continue;
    const series = parseJsonFile(line.replace(/,\s*$/, ""), path) as Record<string, unknown>;
    const { pixelSpacing, slices } = series;
    if (!isSpacing(pixelSpacing) || !Array.isArray(slices)) continue;
    for (const slice of slices) {
      const output = (slice as { output?: unknown } | null)?.output;
      if (typeof output === "string") spacings.set(join(dir, output), pixelSpacing);
    }
  }
  return spacings;
}

async function* lines(path: string): AsyncIterable<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of fileChunks(path, LIMITS.volume.bytes)) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    if (rest.length > LIMITS.json.bytes) {
      throw new InputError(`Cannot read "${path}": a line of more than ${LIMITS.json.bytes} bytes`);
    }
    yield* parts;
  }
  yield rest;
}
