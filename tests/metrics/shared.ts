/** Where the tests of the metrics find their data. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** A file of tests/fixtures/metrics. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/metrics/${name}`, import.meta.url));
}

/** A file of the shared folder beside the repository, or null, saying that its test is skipped. */
export function shared(name: string): string | null {
  const root = Deno.env.get("LUNG_SHARED") ??
    fileURLToPath(new URL("../../../shared", import.meta.url));
  const path = `${root}/${name}`;
  if (existsSync(path)) return path;
  console.log(`skipped: ../shared/${name} is not there`);
  return null;
}

/** `uniforms` of tests/reference/make_feature_metrics.py. */
export function uniforms(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => {
    let x = (i + seed * 1000003) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
    x = (x ^ (x >>> 16)) >>> 0;
    return (x >>> 8) / 2 ** 24;
  });
}
