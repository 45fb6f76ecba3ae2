/** A slice as a NIfTI-1 file (nifti1.h; https://nifti.nimh.nih.gov/nifti-1). */

import { gzipSync } from "node:zlib";

export interface NiftiSlice {
  rows: number;
  columns: number;
  /** Hounsfield units, row by row from the front, columns from the patient's right to the left. */
  values: Float32Array;
  /** mm between rows and between columns. */
  pixelSpacing: readonly [number, number];
  /** mm. */
  thickness: number;
  /** Where the first pixel lies, DICOM patient coordinates, mm; the slice's centre at the origin if absent. */
  origin?: readonly [number, number, number];
  /** At most 79 characters of ASCII. */
  description: string;
}

const HEADER_BYTES = 348;
/** Where voxels start: after the header and four bytes that say "no extensions". */
const VOXELS_AT = 352;
const FLOAT32 = 16;
const MILLIMETRES = 2;
const SCANNER_COORDINATES = 1;

/** A `.nii.gz` file of one slice in float32; the same bytes every time. */
export function encodeNifti(slice: NiftiSlice): Uint8Array {
  const { rows, columns, values, pixelSpacing: [dy, dx], thickness } = slice;
  if (values.length !== rows * columns) {
    throw new Error(`Cannot encode NIfTI: ${values.length} values for [${rows},${columns}]`);
  }
  const bytes = new Uint8Array(VOXELS_AT + 4 * values.length);
  const view = new DataView(bytes.buffer);
  const shorts = (at: number, list: number[]) =>
    list.forEach((v, i) => view.setInt16(at + 2 * i, v, true));
  const floats = (at: number, list: number[]) =>
    list.forEach((v, i) => view.setFloat32(at + 4 * i, v, true));
  const text = (at: number, value: string) => bytes.set(new TextEncoder().encode(value), at);
  view.setInt32(0, HEADER_BYTES, true);
  shorts(40, [3, columns, rows, 1, 1, 1, 1, 1]);
  shorts(70, [FLOAT32, 32]); // datatype, bitpix
  // pixdim; pixdim[0] is the handedness that goes with the quaternion below.
  floats(76, [1, dx, dy, thickness, 1, 0, 0, 0]);
  floats(108, [VOXELS_AT, 1, 0]); // vox_offset, scl_slope, scl_inter
  bytes[123] = MILLIMETRES;
  text(148, slice.description.slice(0, 79));
  shorts(252, [SCANNER_COORDINATES, SCANNER_COORDINATES]); // qform_code, sform_code
  // NIfTI's world is +x right, +y front: both run against the image. That is half a turn about z,
  // whose quaternion is (b, c, d) = (0, 0, 1).
  const [x, y, z0] = slice.origin ?? [-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, 0];
  const x0 = -x, y0 = -y;
  floats(256, [0, 0, 1, x0, y0, z0]);
  floats(280, [-dx, 0, 0, x0, 0, -dy, 0, y0, 0, 0, thickness, z0]);
  text(344, "n+1\0");
  values.forEach((v, i) => view.setFloat32(VOXELS_AT + 4 * i, v, true));
  return gzipSync(bytes);
}
