/** Lung masks in the forms that data sets have them: a file for each lobe, LUNA16's values. */

import { InputError } from "../../errors.ts";
import type { CtVolume } from "../dicom/series.ts";
import { dicomGeometry, gridDifference } from "../geometry.ts";
import { LEFT, RIGHT } from "../lung_mask.ts";
import { readVolume } from "../volume.ts";
import { maskOf, type MaskRule } from "./labels.ts";

/**
 * Labels of a volume, slices × rows × columns: 0, 1 right, 2 left.
 * @param rule what labels of a file of both lungs mean.
 * @throws InputError naming the file: it lies elsewhere, or is no mask.
 */
export async function loadLungParts(
  parts: { right: string[]; left: string[]; both: string[] },
  volume: CtVolume,
  rule: MaskRule,
  notes: string[],
): Promise<Uint8Array> {
  const labels = new Uint8Array(volume.hu.length);
  const one = { ...rule, choice: null, kept: [1] };
  for (
    const [files, label, own] of [
      [parts.both, null, rule],
      [parts.right, RIGHT, one],
      [parts.left, LEFT, one],
    ] as const
  ) {
    for (const path of files) {
      const mask = maskOf(path, await onGrid(path, volume), own, notes);
      for (let i = 0; i < mask.length; i++) if (mask[i]) labels[i] = label ?? mask[i];
    }
  }
  return labels;
}

/**
 * The same of a mask of LUNA16: 3 and 4 are the lungs (which is which their place says), 5 is the
 * trachea, no lung. @throws InputError naming the file.
 */
export async function loadLuna16Lungs(path: string, volume: CtVolume): Promise<Uint8Array> {
  const values = await onGrid(path, volume), { row, column, columns, rows } = volume;
  const sum = [0, 0], count = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < 0 || value > 5) {
      throw new InputError(
        `Cannot use lung mask "${path}": value ${value} is none of LUNA16's 0…5`,
      );
    }
    if (value !== 3 && value !== 4) continue;
    const y = Math.floor(i / columns) % rows, x = i % columns;
    // Towards the patient's left.
    sum[value - 3] += x * row[0] * volume.pixelSpacing[1] + y * column[0] * volume.pixelSpacing[0];
    count[value - 3]++;
  }
  const isThreeLeft = count[1] === 0 || count[0] > 0 && sum[0] / count[0] > sum[1] / count[1];
  const labels = [0, RIGHT, LEFT, isThreeLeft ? LEFT : RIGHT, isThreeLeft ? RIGHT : LEFT, 0];
  return Uint8Array.from(values, (value) => labels[value]);
}

async function onGrid(path: string, volume: CtVolume): Promise<Int16Array> {
  const mask = await readVolume(path);
  const grid = dicomGeometry({ ...volume, positions: volume.slices.map((s) => s.position) });
  const difference = gridDifference(grid, mask);
  if (difference) {
    throw new InputError(
      `Cannot use "${path}": it does not lie where the image lies: ${difference}`,
    );
  }
  return mask.values;
}
