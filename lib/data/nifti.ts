/** NIfTI-1 and -2 volumes (`.nii`, `.nii.gz`), turned the way DICOM slices lie. */

import { constants, gunzipSync } from "node:zlib";
import { isNIFTI, readHeader } from "nifti-reader-js";
import { InputError } from "../errors.ts";
import { readFileBounded } from "../io/read.ts";
import type { Vec3 } from "./dicom/header.ts";

/** Directions in DICOM patient coordinates (+x left, +y back, +z head) that the volume is turned to. */
export interface Orientation {
  /** Of increasing column, increasing row, and increasing slice. */
  row: Vec3;
  column: Vec3;
  normal: Vec3;
}

/** Axial slices from the feet up, seen from the feet, the patient's front on top. */
export const AXIAL: Orientation = { row: [1, 0, 0], column: [0, 1, 0], normal: [0, 0, 1] };

export interface NiftiVolume {
  slices: number;
  rows: number;
  columns: number;
  /** slices × rows × columns, scaled by the header's slope, rounded, at most ±32767. */
  values: Int16Array;
  /** mm between rows, between columns, between slices. */
  pixelSpacing: [number, number];
  sliceSpacing: number;
  /** Patient coordinates of the first voxel, mm. */
  origin: Vec3;
}

const MAX_BYTES = 2 ** 30;
const HEADER_BYTES = 2 ** 16;
type Reader = (view: DataView, at: number, little: boolean) => number;
const TYPES: Record<number, { bytes: number; read: Reader }> = {
  2: { bytes: 1, read: (v, at) => v.getUint8(at) },
  256: { bytes: 1, read: (v, at) => v.getInt8(at) },
  4: { bytes: 2, read: (v, at, little) => v.getInt16(at, little) },
  512: { bytes: 2, read: (v, at, little) => v.getUint16(at, little) },
  8: { bytes: 4, read: (v, at, little) => v.getInt32(at, little) },
  768: { bytes: 4, read: (v, at, little) => v.getUint32(at, little) },
  16: { bytes: 4, read: (v, at, little) => v.getFloat32(at, little) },
  64: { bytes: 8, read: (v, at, little) => v.getFloat64(at, little) },
};

/** Reads a volume. @throws InputError naming the file and the reason. */
export async function readNifti(path: string, to: Orientation = AXIAL): Promise<NiftiVolume> {
  return parseNifti(await readFileBounded(path, MAX_BYTES), path, to);
}

/**
 * Parses a volume, compressed or not. What the header claims is checked before anything of that
 * size is inflated or allocated.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export function parseNifti(
  bytes: Uint8Array,
  name: string,
  to: Orientation = AXIAL,
): NiftiVolume {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const isGzip = bytes.length > 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
  let start: Uint8Array;
  try {
    start = isGzip
      ? gunzipSync(bytes.subarray(0, HEADER_BYTES), {
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: 2 ** 27,
      })
      : bytes;
  } catch (error) {
    throw fail(`damaged gzip data: ${error instanceof Error ? error.message : error}`);
  }
  const header = headerOf(start.slice(0, 4096), fail);
  const { count, type, offset } = header;
  const need = offset + count * type.bytes;
  if (need > MAX_BYTES) throw fail(`${need} bytes of voxels, at most ${MAX_BYTES}`);
  let whole = bytes;
  if (isGzip) {
    try {
      // Little may follow the voxels; more than that is not what the header described.
      whole = gunzipSync(bytes, { maxOutputLength: need + 2 ** 20 });
    } catch (error) {
      throw fail(`damaged gzip data: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (whole.length < need) throw fail(`truncated: ${whole.length} of ${need} bytes`);
  return turned(header, new DataView(whole.buffer, whole.byteOffset + offset), to, fail);
}

interface Header {
  dims: [number, number, number];
  count: number;
  type: { bytes: number; read: Reader };
  offset: number;
  little: boolean;
  slope: number;
  intercept: number;
  /** Voxel axes and origin in patient coordinates (LPS), mm. */
  axes: [Vec3, Vec3, Vec3];
  origin: Vec3;
}

function headerOf(start: Uint8Array<ArrayBuffer>, fail: (why: string) => Error): Header {
  let header: ReturnType<typeof readHeader>;
  try {
    if (start.length < 348 || !isNIFTI(start.buffer)) throw new Error("not a NIfTI file");
    header = readHeader(start.buffer);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const [rank, ...sizes] = Array.from(header.dims, Number);
  if (rank < 2 || rank > 7) throw fail(`${rank} dimensions`);
  const dims = [0, 1, 2].map((axis) => axis < rank ? sizes[axis] : 1) as [number, number, number];
  const beyond = sizes.slice(3, rank).find((size) => size > 1);
  if (beyond !== undefined) throw fail(`more than three dimensions: [${sizes.slice(0, rank)}]`);
  if (dims.some((size) => !Number.isInteger(size) || size < 1 || size > 4096)) {
    throw fail(`dimensions [${dims}] are not in 1…4096`);
  }
  const type = TYPES[header.datatypeCode];
  if (!type) throw fail(`data type ${header.datatypeCode} is not supported`);
  const offset = Number(header.vox_offset);
  if (!(offset >= 0 && offset <= 2 ** 24)) throw fail(`voxels start at byte ${offset}`);
  const spacing = Array.from(header.pixDims).slice(1, 4).map(Math.abs);
  const hasAffine = header.qform_code > 0 || header.sform_code > 0;
  const affine = hasAffine
    ? header.affine
    : [[spacing[0], 0, 0, 0], [0, spacing[1], 0, 0], [0, 0, spacing[2], 0]];
  // NIfTI's world is +x right, +y front; DICOM's +x left, +y back.
  const point = (column: number): Vec3 => [
    -affine[0][column],
    -affine[1][column],
    affine[2][column],
  ];
  const axes = [point(0), point(1), point(2)] as [Vec3, Vec3, Vec3];
  const lengths = axes.map((axis) => Math.hypot(...axis));
  if (!lengths.every((mm) => mm >= 0.01 && mm <= 100)) {
    throw fail(`voxels of ${lengths.map((mm) => mm.toFixed(3)).join(" × ")} mm`);
  }
  const origin = point(3);
  if (!origin.every(Number.isFinite)) throw fail("its origin is not a point");
  const slope = Number.isFinite(header.scl_slope) && header.scl_slope !== 0 ? header.scl_slope : 1;
  return {
    dims,
    count: dims[0] * dims[1] * dims[2],
    type,
    offset,
    little: header.littleEndian,
    slope,
    intercept: Number.isFinite(header.scl_inter) ? header.scl_inter : 0,
    axes,
    origin,
  };
}

/** Copies the voxels so that columns, rows and slices run the way `to` says. */
function turned(
  { dims, type, little, slope, intercept, axes, origin }: Header,
  view: DataView,
  to: Orientation,
  fail: (why: string) => Error,
): NiftiVolume {
  const dot = (a: Vec3, b: Vec3) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const chosen = [to.row, to.column, to.normal].map((wanted) => {
    const along = axes.map((axis) => dot(axis, wanted) / Math.hypot(...axis));
    const axis = along.reduce((best, v, i) => Math.abs(v) > Math.abs(along[best]) ? i : best, 0);
    return { axis, flip: along[axis] < 0 };
  });
  if (new Set(chosen.map((c) => c.axis)).size !== 3) throw fail("its axes are oblique");
  const strides = [1, dims[0], dims[0] * dims[1]];
  const [c, r, s] = chosen;
  const columns = dims[c.axis], rows = dims[r.axis], slices = dims[s.axis];
  const step = (choice: { axis: number; flip: boolean }) =>
    strides[choice.axis] * (choice.flip ? -1 : 1);
  let first = 0;
  const start: Vec3 = [...origin];
  for (const { axis, flip } of chosen) {
    if (!flip) continue;
    first += strides[axis] * (dims[axis] - 1);
    for (let i = 0; i < 3; i++) start[i] += axes[axis][i] * (dims[axis] - 1);
  }
  const values = new Int16Array(slices * rows * columns);
  const stepC = step(c), stepR = step(r), stepS = step(s);
  for (let z = 0, at = 0; z < slices; z++) {
    for (let y = 0; y < rows; y++) {
      let from = first + z * stepS + y * stepR;
      for (let x = 0; x < columns; x++, at++, from += stepC) {
        const value = Math.round(type.read(view, from * type.bytes, little) * slope + intercept);
        values[at] = value >= -32767 ? Math.min(value, 32767) : -32767; // NaN too is the lowest
      }
    }
  }
  const length = (axis: number) => Math.hypot(...axes[axis]);
  return {
    slices,
    rows,
    columns,
    values,
    pixelSpacing: [length(r.axis), length(c.axis)],
    sliceSpacing: length(s.axis),
    origin: start,
  };
}
