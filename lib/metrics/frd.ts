/**
 * "FRD-subset": Fréchet distance between the radiomic features of two sets of slices, after Konz et
 * al. 2024 ("Fréchet Radiomic Distance"), with 57 features (17 first-order, 24 co-occurrence, 16
 * run-length) of the 464 that FRD takes. Its values are not comparable with FRD's.
 */

import { frechetDistance } from "./fid.ts";
import { FIRST_ORDER_NAMES, firstOrder } from "./first_order.ts";
import { GLCM_NAMES, glcmFeatures } from "./glcm.ts";
import { GLRLM_NAMES, glrlmFeatures } from "./glrlm.ts";
import { discretise, requireSlice } from "./grey_levels.ts";
import type { Features } from "./linear_algebra.ts";

/** Names in the order of `radiomicFeatures`' values, prefixed as PyRadiomics does. */
export const RADIOMIC_NAMES: readonly string[] = [
  ...FIRST_ORDER_NAMES.map((name) => `firstorder_${name}`),
  ...GLCM_NAMES.map((name) => `glcm_${name}`),
  ...GLRLM_NAMES.map((name) => `glrlm_${name}`),
];

/**
 * The 57 features of one slice inside its mask.
 *
 * @param image HU, [height, width]
 * @param mask above 0.5 inside
 * @returns in the order of RADIOMIC_NAMES; null where the mask has no two neighbouring pixels
 * @throws RangeError where a length does not fit or a pixel inside is not finite.
 */
export function radiomicFeatures(
  image: ArrayLike<number>,
  mask: ArrayLike<number>,
  size: { height: number; width: number },
): number[] | null {
  const pixels = requireSlice(image, mask, size);
  const inside: number[] = [];
  for (let i = 0; i < pixels; i++) {
    if (!(mask[i] > 0.5)) continue;
    if (!Number.isFinite(image[i])) {
      throw new RangeError(`Cannot take features of a slice: pixel ${i} is ${image[i]}`);
    }
    inside.push(image[i]);
  }
  if (inside.length < 2) return null;
  const grey = discretise(image, mask, size);
  const texture = glcmFeatures(grey);
  if (texture.some(Number.isNaN)) return null;
  return [
    ...firstOrder(Float64Array.from(inside), grey.levels.filter((level) => level > 0)),
    ...texture,
    ...glrlmFeatures(grey),
  ];
}

/** Rows of equal length as one feature set. */
export function stack(rows: readonly (readonly number[])[]): Features {
  const size = rows[0]?.length ?? 0;
  return { count: rows.length, size, data: Float64Array.from(rows.flat()) };
}

/**
 * Each column less the reference's mean, over the reference's standard deviation (ddof 0), so that
 * energy in the millions does not drown the rest. A column that is constant in the reference is
 * left out of both: its scale is unknown.
 */
export function standardise(
  reference: Features,
  other: Features,
): { reference: Features; other: Features; kept: number[] } {
  const { size } = reference, kept: number[] = [];
  const means: number[] = [], deviations: number[] = [];
  for (let j = 0; j < size; j++) {
    let sum = 0, squares = 0;
    for (let i = 0; i < reference.count; i++) sum += reference.data[i * size + j];
    const mean = sum / reference.count;
    for (let i = 0; i < reference.count; i++) {
      squares += (reference.data[i * size + j] - mean) ** 2;
    }
    const deviation = Math.sqrt(squares / reference.count);
    means.push(mean);
    deviations.push(deviation);
    if (deviation > 1e-9 * Math.max(1, Math.abs(mean))) kept.push(j);
  }
  const scale = ({ count, data }: Features): Features => ({
    count,
    size: kept.length,
    data: Float64Array.from({ length: count * kept.length }, (_, at) => {
      const i = Math.floor(at / kept.length), j = kept[at % kept.length];
      return (data[i * size + j] - means[j]) / deviations[j];
    }),
  });
  return { reference: scale(reference), other: scale(other), kept };
}

/**
 * Fréchet distance between standardised features, the real set being the reference.
 *
 * @throws RangeError for fewer than two slices on a side.
 */
export function frdSubset(real: Features, generated: Features): number {
  if (real.count < 2 || generated.count < 2) {
    throw new RangeError(
      `FRD-subset needs at least 2 slices a side, got ${real.count} and ${generated.count}`,
    );
  }
  const scaled = standardise(real, generated);
  return frechetDistance(scaled.reference, scaled.other);
}
