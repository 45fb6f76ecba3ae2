/** Which patients train, which validate, which test. */

import { createHash } from "node:crypto";

export interface Splits {
  train: string[];
  val: string[];
  test: string[];
}

/**
 * Splits by patient: a patient's place is a hash of the seed and its name, so that it hardly moves
 * when others come or go. From three patients on each split has at least one; fewer all train.
 */
export function splitPatients(
  patients: readonly string[],
  seed: number,
  { val, test }: { val: number; test: number },
): Splits {
  const place = (patient: string) =>
    createHash("sha256").update(`${seed}\0${patient}`).digest("hex");
  const unique = [...new Set(patients)];
  const order = unique.map((patient) => ({ patient, at: place(patient) }))
    .sort((a, b) => a.at < b.at ? -1 : 1).map(({ patient }) => patient);
  const share = (part: number) =>
    order.length < 3 || part === 0 ? 0 : Math.max(1, Math.round(part * order.length));
  const tests = Math.min(share(test), order.length - 1);
  const vals = Math.min(share(val), order.length - 1 - tests);
  return {
    test: order.slice(0, tests).sort(),
    val: order.slice(tests, tests + vals).sort(),
    train: order.slice(tests + vals).sort(),
  };
}
