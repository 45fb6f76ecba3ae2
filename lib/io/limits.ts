/**
 * What a file may ask of the readers of untrusted input. Whatever a file says, its reader stays below
 * these and, with them, within two seconds and a GiB; where a file is large for a good reason, time
 * and memory grow with its size alone (docs/limits.md has the table). Real files stay far below.
 */

import { SHOWN } from "../errors.ts";

const KiB = 2 ** 10, MiB = 2 ** 20, GiB = 2 ** 30;

export const LIMITS = {
  /** Text that a file or a command line puts before the user's eyes: see lib/errors.ts. */
  text: {
    /** Characters of an error's message, of a note, of a name that is shown. */
    shown: SHOWN,
    /** Notes kept of one file or series; the rest is counted. */
    notes: 100,
  },

  /** Configurations, schedulers, manifests, headers of safetensors. */
  json: { bytes: 4 * MiB, depth: 16, values: 2 ** 18 },

  /** Files of patients' names, a line each. */
  split: { bytes: 16 * MiB, rows: 2 ** 18, name: 256 },

  /** metadata.csv, images.csv. */
  csv: { bytes: 16 * MiB, rows: 2 ** 17, columns: 256, cells: 2 ** 21, record: 64 * KiB },

  /**
   * LIDC's readings; the longest is below 4 MB, with 60,000 points of outlines. `tags` are opening
   * and closing ones, `names` different ones; `attributes` bounds the equals signs; `text` is
   * characters of a value that is read.
   */
  xml: { bytes: 6 * MiB, tags: 2 ** 19, names: 256, attributes: 2 ** 14, text: 256 },

  /**
   * What a reading draws: `pixels` of all outlines' boxes, `pairs` of outline points compared to find
   * out which marks are of one nodule.
   */
  reading: { readers: 64, nodules: 1024, outlines: 2 ** 14, pixels: 2 ** 25, pairs: 2 ** 28 },

  /** Headers made of lines: MetaImage, NRRD. */
  textHeader: { bytes: 64 * KiB, lines: 1024 },

  /** Images and slices: pixels a side, and bytes of the decoded pixels. */
  image: { side: 4096, bytes: 64 * MiB, file: 64 * MiB, chunks: 2 ** 17, textBytes: 64 * KiB },

  /** Volumes (NIfTI, MetaImage, NRRD, `.npy`, DICOM series): 1024 slices of 512², 256 of 1024². */
  volume: { side: 4096, voxels: 2 ** 28, bytes: GiB },

  /**
   * A CT series: 896 slices of 1024². Beyond `free` voxels (256 slices of 512²) its files must hold
   * one byte on disk for `perByte` voxels.
   */
  ct: { most: 7 * 2 ** 27, free: 2 ** 26, perByte: 16 },

  /** `bytes` of the array in memory, counted twice where axes are turned, thrice for `<f2`. */
  npy: { header: 64 * KiB, rank: 32, bytes: 7 * 2 ** 27 },

  /** Only the header is bounded: 20,000 tensors. The rest must be as long as it says. */
  safetensors: { header: 4 * MiB, values: 2 ** 18, rank: 32, file: 2 ** 33 },

  /**
   * A DICOM file. `header` is all before the pixel data; `elements` counts items and nested ones
   * too; `inflated` is of a deflated data set; `value` is bytes of a text that is used.
   */
  dicom: {
    file: 256 * MiB,
    inflated: 128 * MiB,
    meta: MiB,
    header: 16 * MiB,
    elements: 2 ** 17,
    value: KiB,
    fragments: 2 ** 16,
  },

  /** Objects whose content is in the elements themselves: SEG, RTSTRUCT. */
  dicomObject: {
    elements: 2 ** 18,
    frames: 2 ** 14,
    contours: 2 ** 16,
    points: 2 ** 20,
    crossings: 2 ** 23,
  },

  /** `held`: items of all lists, tuples and dicts together, counted each time they are put there. */
  pickle: { bytes: 16 * MiB, opcodes: 2 ** 20, held: 2 ** 20, text: 64 * KiB, tensors: 2 ** 16 },

  /** Weights: AlexNet's are 244 MB. */
  torch: { file: GiB },

  /** Lists of SHA-256, a line a file. */
  sums: { bytes: 64 * MiB },

  /** The packed cache: an index of 400,000 slices. */
  packed: { index: 64 * MiB, values: 2 ** 21, depth: 3 },
} as const;

/**
 * Are so many voxels and bytes within bounds? To be asked before anything of that size is made.
 * @param dims sizes of the axes.
 * @param voxelBytes bytes of a voxel in the file.
 * @returns what is wrong, or null.
 */
export function volumeExcess(dims: readonly number[], voxelBytes: number): string | null {
  const { side, voxels, bytes } = LIMITS.volume;
  const shape = `[${dims.slice(0, 8)}${dims.length > 8 ? ", …" : ""}]`;
  if (!dims.every((size) => Number.isInteger(size) && size >= 1 && size <= side)) {
    return `dimensions ${shape} are not in 1…${side}`;
  }
  const count = dims.reduce((product, size) => product * size, 1);
  if (count > voxels) return `${shape} is ${count} voxels, at most ${voxels} are accepted`;
  if (count * voxelBytes > bytes) {
    return `${shape} of ${voxelBytes} bytes is ${count * voxelBytes} bytes, at most ${bytes}`;
  }
  return null;
}
