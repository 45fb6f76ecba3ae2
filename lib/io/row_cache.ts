/** Rows of floats on disk, found by the hash of all that they follow from. */

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { writeFileAtomic } from "./atomic.ts";

/** A folder of rows. Several processes may share it: a row appears whole or not at all. */
export class RowCache {
  constructor(readonly folder: string) {}

  /** Where the row is that follows from these. */
  path(...sources: (string | Float32Array)[]): string {
    const hash = createHash("sha256");
    for (const source of sources) {
      hash.update(
        typeof source === "string"
          ? source
          : new Uint8Array(source.buffer, source.byteOffset, source.byteLength),
      );
    }
    const name = hash.digest("hex");
    return join(this.folder, name.slice(0, 2), `${name}.f32`);
  }

  /** A row, or null where there is none of that length. */
  async read(path: string, length: number): Promise<Float32Array<ArrayBuffer> | null> {
    try {
      const bytes = await Deno.readFile(path);
      return bytes.length === 4 * length ? new Float32Array(bytes.buffer) : null;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }

  async write(path: string, row: Float32Array): Promise<void> {
    await writeFileAtomic(path, new Uint8Array(row.slice().buffer));
  }

  /** Removes rows, and the folders that they leave empty. */
  async remove(paths: readonly string[]): Promise<void> {
    for (const path of paths) await Deno.remove(path).catch(() => {});
    const folders = new Set(paths.map((path) => dirname(path)));
    for (const folder of [...folders, this.folder]) await Deno.remove(folder).catch(() => {});
  }
}
