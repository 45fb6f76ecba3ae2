/**
 * FRD, the Fréchet radiomic distance (Konz, Osuala et al. 2026), as `frd-score` 1.0.1 on PyPI computes
 * it for slices ("v1", with PyRadiomics 3.0.1): 398 numbers a slice. Its name is "464 features", but a
 * slice of one plane has no Laplacian of Gaussian there ("too small"), and 13 of PyRadiomics'
 * diagnostics, as the mask's area, are among them.
 */

import { frechetDistance, takeRows } from "./fid.ts";
import { FIRST_ORDER_NAMES, firstOrder } from "./first_order.ts";
import { halved, type Masked, normalised, wavelets } from "./frd_images.ts";
import { GLCM_NAMES, glcmFeatures } from "./glcm.ts";
import { GLRLM_NAMES, glrlmFeatures } from "./glrlm.ts";
import { GLSZM_NAMES, glszmFeatures, zones } from "./glszm.ts";
import { discretise, requireSlice } from "./grey_levels.ts";
import type { Features } from "./linear_algebra.ts";
import { NGTDM_NAMES, ngtdmFeatures } from "./ngtdm.ts";

// configs/extraction_2d.yaml
const NORMALIZE_SCALE = 100;
const PAD_DISTANCE = 10;
const BIN_WIDTH = 5;
const VOXEL_ARRAY_SHIFT = 300;
/** mm²: `resampledPixelSpacing` of slices whose pixels are taken as 1 mm. */
const PIXEL_AREA = 4;

const WITHOUT = new Set(["MCC", "SumAverage"]);
const CLASSES = [
  ...FIRST_ORDER_NAMES.map((name) => `firstorder_${name}`),
  "firstorder_TotalEnergy",
  ...GLCM_NAMES.filter((name) => !WITHOUT.has(name)).map((name) => `glcm_${name}`),
  ...GLRLM_NAMES.map((name) => `glrlm_${name}`),
  ...GLSZM_NAMES.map((name) => `glszm_${name}`),
  ...NGTDM_NAMES.map((name) => `ngtdm_${name}`),
];
const BANDS = ["LL", "LH", "HL", "HH"];

/** Names in the order of `frdFeatures`' values, as `frd-score` has them. */
export const FRD_NAMES: readonly string[] = [
  ...["Mean", "Minimum", "Maximum"].map((name) => `diagnostics_Image-original_${name}`),
  ...["VoxelNum", "VolumeNum"].map((name) => `diagnostics_Mask-original_${name}`),
  ...["Mean", "Minimum", "Maximum"].map((name) => `diagnostics_Image-interpolated_${name}`),
  ...["VoxelNum", "VolumeNum", "Mean", "Minimum", "Maximum"]
    .map((name) => `diagnostics_Mask-interpolated_${name}`),
  ...CLASSES,
  ...BANDS.flatMap((band) => CLASSES.map((name) => `wavelet-${band}_${name}`)),
];

function extent(values: Iterable<number>): [mean: number, minimum: number, maximum: number] {
  let count = 0, sum = 0, low = Infinity, high = -Infinity;
  for (const value of values) {
    [count, sum, low, high] = [count + 1, sum + value, Math.min(low, value), Math.max(high, value)];
  }
  return [sum / count, low, high];
}

function maskSize({ mask, height, width }: Masked): [pixels: number, pieces: number] {
  let pieces = 0, pixels = 0;
  zones({ levels: Int32Array.from(mask), height, width }, (_, size) => {
    pieces++;
    pixels += size;
  });
  return [pixels, pieces];
}

const insideOf = ({ image, mask }: Masked) => Float64Array.from(image.filter((_, i) => mask[i]));

/** The 77 features of one image, or null where no pixel has a neighbour in the mask. */
function classes(slice: Masked): number[] | null {
  const grey = discretise(slice.image, slice.mask, slice, BIN_WIDTH);
  const texture = glcmFeatures(grey, WITHOUT);
  if (texture.some(Number.isNaN)) return null;
  const inside = insideOf(slice);
  const energy = inside.reduce((sum, value) => sum + (value + VOXEL_ARRAY_SHIFT) ** 2, 0);
  const first = firstOrder(inside, grey.levels.filter((level) => level > 0));
  first[FIRST_ORDER_NAMES.indexOf("Energy")] = energy;
  first[FIRST_ORDER_NAMES.indexOf("RootMeanSquared")] = Math.sqrt(energy / inside.length);
  return [
    ...first,
    energy * PIXEL_AREA,
    ...texture,
    ...glrlmFeatures(grey),
    ...glszmFeatures(grey),
    ...ngtdmFeatures(grey),
  ];
}

/**
 * What FRD takes of one slice.
 *
 * @param image HU, [height, width]; pixels are taken as 1 mm, as of a picture file
 * @param mask above 0.5 inside
 * @returns in the order of FRD_NAMES; null where the mask, or what is left of it at half the
 * resolution, is too small, or the slice is of one value
 * @throws RangeError where a length does not fit or a pixel is not finite.
 */
export function frdFeatures(
  image: ArrayLike<number>,
  mask: ArrayLike<number>,
  size: { height: number; width: number },
): number[] | null {
  const pixels = requireSlice(image, mask, size);
  const whole: Masked = {
    ...size,
    image: Float32Array.from(image),
    mask: Uint8Array.from({ length: pixels }, (_, i) => mask[i] > 0.5 ? 1 : 0),
  };
  const bad = whole.image.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new RangeError(`Cannot take features of a slice: pixel ${bad} is ${image[bad]}`);
  }
  const [mean, low, high] = extent(whole.image);
  const [area, pieces] = maskSize(whole);
  if (area < 2 || low === high) return null;
  const half = halved(
    { ...whole, image: normalised(whole.image, NORMALIZE_SCALE) },
    PAD_DISTANCE,
  );
  const [halfArea, halfPieces] = maskSize(half);
  if (halfArea < 2) return null;
  const bands = new Map(wavelets(half));
  const images = [half.image, ...BANDS.map((band) => bands.get(band)!)];
  const features = images.map((image) => classes({ ...half, image }));
  if (!features.every((row) => row !== null)) return null;
  return [
    ...[mean, low, high, area, pieces],
    ...[...extent(half.image), halfArea, halfPieces, ...extent(insideOf(half))],
    ...features.flat(),
  ];
}

/** The slices of a set of which every feature is a number. */
function numbers({ count, size, data }: Features): Features {
  const kept = Array.from({ length: count }, (_, i) => i)
    .filter((i) => !data.subarray(i * size, (i + 1) * size).some(Number.isNaN));
  return takeRows({ count, size, data }, kept);
}

/**
 * ln of the Fréchet distance between features in units of the reference's standard deviations, as
 * `frd-score` has it by default: ln(d²), not the paper's ln(d). Slices with a feature that is no
 * number are left out, and so are columns that the reference has no deviation of, or that are not
 * finite in float32.
 *
 * @returns also how many columns were compared; −∞ between equal sets.
 * @throws RangeError for fewer than two slices on a side.
 */
export function frd(reference: Features, other: Features): { value: number; columns: number } {
  const sets = [numbers(reference), numbers(other)];
  if (sets.some(({ count }) => count < 2)) {
    throw new RangeError(
      `FRD needs at least 2 slices a side, got ${sets[0].count} and ${sets[1].count}`,
    );
  }
  const { size } = reference;
  const columns: Float32Array[][] = []; // of both sets
  for (let j = 0; j < size; j++) {
    const [a, b] = sets.map(({ count, data }) =>
      Float32Array.from({ length: count }, (_, i) => data[i * size + j])
    );
    const mean = a.reduce((sum, v) => sum + v, 0) / a.length;
    const deviation = Math.sqrt(a.reduce((sum, v) => sum + (v - mean) ** 2, 0) / a.length);
    const pair = [a, b].map((values) => values.map((v) => (v - mean) / deviation));
    if (pair.every((values) => values.every(Number.isFinite))) columns.push(pair);
  }
  const [a, b] = sets.map(({ count }, k): Features => ({
    count,
    size: columns.length,
    data: Float64Array.from(
      { length: count * columns.length },
      (_, at) => columns[at % columns.length][k][Math.floor(at / columns.length)],
    ),
  }));
  const distance = frechetDistance(a, b);
  return { value: distance > 0 ? Math.log(distance) : -Infinity, columns: columns.length };
}
