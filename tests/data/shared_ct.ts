/** Where real CT data is, for the tests that need it: $LUNG_SHARED/ct, or ../shared/ct. */

import { fileURLToPath } from "node:url";

const beside = fileURLToPath(new URL("../../../shared", import.meta.url));

function find(): string | null {
  for (const root of [Deno.env.get("LUNG_SHARED"), beside]) {
    if (!root) continue;
    try {
      if (Deno.statSync(`${root}/ct`).isDirectory) return `${root}/ct`;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

/** The folder, or null. */
export const REAL_CT = find();

/** A test that needs real data: without it, it says so and passes. */
export function realCtTest(name: string, body: (ct: string) => void | Promise<void>): void {
  Deno.test(name, async () => {
    if (REAL_CT === null) console.log("skipped: ../shared/ct is not there");
    else await body(REAL_CT);
  });
}

/** A test on the input of `cases/data/NAME`, likewise. */
export function sharedCase(
  name: string,
  folder: string,
  body: (input: string) => void | Promise<void>,
): void {
  realCtTest(name, (ct) => body(`${ct}/../cases/data/${folder}/input`));
}

export const FIXTURES = fileURLToPath(new URL("../fixtures", import.meta.url));

/** Dice of two masks: 2·|A∩B| / (|A| + |B|). */
export function dice(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let both = 0, total = 0;
  for (let i = 0; i < a.length; i++) {
    const p = a[i] > 0 ? 1 : 0, q = b[i] > 0 ? 1 : 0;
    both += p & q;
    total += p + q;
  }
  return total === 0 ? 1 : 2 * both / total;
}
