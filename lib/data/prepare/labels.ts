/** What the values of a mask mean: which labels are lung, which nodule. */

import { InputError } from "../../errors.ts";

/** Labels that are meant, or all that are not 0; null: none were named. */
export type LabelChoice = readonly number[] | "all" | null;

/** Label maps that people have, by the name that `--lung-label` takes. */
export const NAMED_LABELS: Readonly<Record<string, readonly number[]>> = {
  // Five lobes; numbers of version 2 and of version 1.
  totalsegmentator: [10, 11, 12, 13, 14],
  "totalsegmentator-v1": [13, 14, 15, 16, 17],
  lung_upper_lobe_left: [10],
  lung_lower_lobe_left: [11],
  lung_upper_lobe_right: [12],
  lung_middle_lobe_right: [13],
  lung_lower_lobe_right: [14],
  // Left lung, right lung, infection, which lies in them.
  "covid-19-ct-seg": [1, 2, 3],
};

/** `2`, `1,2`, `all`, or names of {@link NAMED_LABELS}. @throws InputError naming the option. */
export function parseLabels(text: string, option: string): LabelChoice {
  const parts = text.split(",").map((part) => part.trim().toLowerCase());
  if (parts.length === 1 && parts[0] === "all") return "all";
  return parts.flatMap((part) => {
    if (/^\d{1,5}$/.test(part) && Number(part) > 0) return [Number(part)];
    const named = NAMED_LABELS[part];
    if (named) return [...named];
    throw new InputError(
      `${option} "${part}" is neither a label (1, 2, …) nor "all" nor one of ` +
        Object.keys(NAMED_LABELS).join(", "),
    );
  });
}

export interface MaskRule {
  /** The option that says which labels are meant. */
  option: "--lung-label" | "--nodule-label";
  choice: LabelChoice;
  /** Labels that may stand side by side without a choice, and are kept: right and left lung. */
  kept: readonly number[];
}

/** More labels than these are not listed. */
const LISTED = 12;
/** Gray borders of a mask that was scaled as a picture, up to this value. */
const GRAY = 255;

/**
 * A mask of 0 and 1, or with the rule's kept labels.
 * @param fractional values that were no whole numbers before they were rounded.
 * @param notes gets what was made of values that are not plain labels.
 * @throws InputError naming the file: no mask, or several labels without a choice.
 */
export function maskOf(
  name: string,
  values: ArrayLike<number | bigint>,
  { option, choice, kept }: MaskRule,
  notes: string[],
  fractional = 0,
): Uint8Array {
  const fail = (why: string) => new InputError(`Cannot use mask "${name}": ${why}`);
  const counts = new Map<number, number>();
  let least = Infinity, most = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    if (!Number.isFinite(value)) throw fail(`value ${value} at voxel ${i}`);
    if (value < least) least = value;
    if (value > most) most = value;
    if (!Number.isInteger(value)) fractional++;
    else if (value !== 0 && (counts.has(value) || counts.size <= GRAY)) {
      counts.set(value, (counts.get(value) ?? 0) + 1);
    }
  }
  if (least < 0) throw fail(`its values are ${least} … ${most}, not labels from 0`);
  if (fractional > 0) {
    if (most > 1) throw fail(`${fractional} of its values are no whole numbers, up to ${most}`);
    notes.push(`mask "${name}" holds shares between 0 and 1: from 0.5 on they count`);
    return select(values, (value) => value >= 0.5 ? 1 : 0);
  }
  const labels = [...counts.keys()].sort((a, b) => a - b);
  if (choice === "all") return select(values, (value) => value > 0 ? 1 : 0);
  if (choice) {
    if (!labels.some((label) => choice.includes(label))) {
      notes.push(`mask "${name}" has no label ${choice.join(", ")}: labels ${labels || "none"}`);
    }
    const chosen = new Set(choice);
    return select(values, (value) => chosen.has(value) ? 1 : 0);
  }
  if (labels.length <= 1 && !labels.every((label) => kept.includes(label))) {
    return select(values, (value) => value > 0 ? 1 : 0);
  }
  if (labels.every((label) => kept.includes(label))) return select(values, (value) => value);
  if (most === GRAY && labels.length > LISTED) {
    notes.push(`mask "${name}" has gray borders: from 128 on they count`);
    return select(values, (value) => value >= 128 ? 1 : 0);
  }
  const list = labels.slice(0, LISTED).map((label) => `${label}: ${counts.get(label)}`);
  throw fail(
    `it has ${labels.length} labels (voxels of each: ${list.join(", ")}` +
      `${labels.length > LISTED ? ", …" : ""}); say which are meant with ${option}`,
  );
}

function select(values: ArrayLike<number | bigint>, of: (value: number) => number): Uint8Array {
  const out = new Uint8Array(values.length);
  for (let i = 0; i < out.length; i++) out[i] = of(Number(values[i]));
  return out;
}
