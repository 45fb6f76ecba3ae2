/** Files appear whole or not at all: written under a temporary name in the same folder, then renamed. */

import { dirname, join } from "node:path";

/**
 * Writes `data`, or its parts one after the other, to `path` through a temporary file; creates
 * missing folders.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | string | Iterable<Uint8Array>,
): Promise<void> {
  const folder = dirname(path);
  await Deno.mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${crypto.randomUUID()}.tmp`);
  try {
    const file = await Deno.open(temporary, { write: true, createNew: true });
    try {
      const whole = typeof data === "string" ? new TextEncoder().encode(data) : data;
      for (const part of whole instanceof Uint8Array ? [whole] : whole) {
        for (let at = 0; at < part.length;) at += await file.write(part.subarray(at));
      }
      await file.sync(); // a rename must not reach the disk before the bytes it names
    } finally {
      file.close();
    }
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
