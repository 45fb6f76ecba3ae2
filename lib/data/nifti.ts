/** NIfTI-1 and -2 volumes (`.nii`, `.nii.gz`), turned the way DICOM slices lie. */

import { isNIFTI, readHeader } from "nifti-reader-js";
import { InputError } from "../errors.ts";
import { fileChunks, unzipped } from "../io/chunks.ts";
import { LIMITS, volumeExcess } from "../io/limits.ts";
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

const HEADER_BYTES = 4096;
/** May lie before the voxels (extensions of the header), and behind them. */
const MAX_OTHER = 2 ** 24;
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
  return await fromChunks(fileChunks(path, LIMITS.volume.bytes + MAX_OTHER), path, to);
}

/**
 * Parses a volume, compressed or not.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export async function parseNifti(
  bytes: Uint8Array,
  name: string,
  to: Orientation = AXIAL,
): Promise<NiftiVolume> {
  return await fromChunks([bytes], name, to);
}

/**
 * A volume from its bytes as they come: a compressed or wide one is never whole in memory. What the
 * header claims is checked before room is made for it.
 */
async function fromChunks(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  name: string,
  to: Orientation,
): Promise<NiftiVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  let start = new Uint8Array(0), at = 0;
  let header: Header | undefined, voxels: Turned | undefined;
  for await (const chunk of unzipped(chunks, fail)) {
    let piece = chunk;
    if (!header) {
      start = joined(start, chunk);
      if (start.length < HEADER_BYTES) continue;
      piece = start;
      header = headerOf(start.slice(0, HEADER_BYTES), fail);
      voxels = new Turned(header, to, fail);
    }
    if (at + piece.length > header.offset) {
      voxels!.take(at < header.offset ? piece.subarray(header.offset - at) : piece);
    }
    at += piece.length;
    if (at > header.offset + header.count * header.type.bytes + MAX_OTHER) {
      throw fail(`more than ${MAX_OTHER} bytes behind its voxels`);
    }
  }
  if (!header) { // the whole file is shorter
    header = headerOf(start, fail);
    voxels = new Turned(header, to, fail);
    if (start.length > header.offset) voxels.take(start.subarray(header.offset));
    at = start.length;
  }
  const need = header.offset + header.count * header.type.bytes;
  if (at < need) throw fail(`truncated: ${at} of ${need} bytes`);
  return voxels!.volume;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
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
  const type = TYPES[header.datatypeCode];
  if (!type) throw fail(`data type ${header.datatypeCode} is not supported`);
  const excess = volumeExcess(dims, type.bytes);
  if (excess) throw fail(excess);
  const offset = Number(header.vox_offset);
  if (!(offset >= 0 && offset <= MAX_OTHER)) throw fail(`voxels start at byte ${offset}`);
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

/** Puts voxels, as they come, where columns, rows and slices run the way `to` says. */
class Turned {
  readonly volume: NiftiVolume;
  readonly #header: Header;
  /** How far apart neighbours along the file's axes are in the result, and where its first lies. */
  readonly #steps: [number, number, number] = [0, 0, 0];
  #to = 0;
  /** Of the next voxel in the file. */
  #x = 0;
  #y = 0;
  #left: number;
  /** The beginning of a voxel whose end has not come yet. */
  #rest = new Uint8Array(0);

  constructor(header: Header, to: Orientation, fail: (why: string) => Error) {
    const { dims, axes, origin } = header;
    const dot = (a: Vec3, b: Vec3) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const chosen = [to.row, to.column, to.normal].map((wanted) => {
      const along = axes.map((axis) => dot(axis, wanted) / Math.hypot(...axis));
      const axis = along.reduce((best, v, i) => Math.abs(v) > Math.abs(along[best]) ? i : best, 0);
      return { axis, flip: along[axis] < 0 };
    });
    if (new Set(chosen.map((c) => c.axis)).size !== 3) throw fail("its axes are oblique");
    const [c, r, s] = chosen;
    const columns = dims[c.axis], rows = dims[r.axis], slices = dims[s.axis];
    const start: Vec3 = [...origin];
    for (const [{ axis, flip }, stride] of [[c, 1], [r, columns], [s, rows * columns]] as const) {
      this.#steps[axis] = flip ? -stride : stride;
      if (!flip) continue;
      this.#to += stride * (dims[axis] - 1);
      for (let i = 0; i < 3; i++) start[i] += axes[axis][i] * (dims[axis] - 1);
    }
    const length = (axis: number) => Math.hypot(...axes[axis]);
    this.#header = header;
    this.#left = header.count;
    this.volume = {
      slices,
      rows,
      columns,
      values: new Int16Array(header.count),
      pixelSpacing: [length(r.axis), length(c.axis)],
      sliceSpacing: length(s.axis),
      origin: start,
    };
  }

  /** The next bytes of the file's voxels; more than there are voxels is passed over. */
  take(bytes: Uint8Array): void {
    const { dims: [width, height], type, little, slope, intercept } = this.#header;
    const whole = this.#rest.length > 0 ? joined(this.#rest, bytes) : bytes;
    const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
    const count = Math.min(this.#left, Math.floor(whole.length / type.bytes));
    const { values } = this.volume, [stepX, stepY, stepZ] = this.#steps;
    let to = this.#to, x = this.#x, y = this.#y;
    for (let i = 0; i < count; i++) {
      const value = Math.round(type.read(view, i * type.bytes, little) * slope + intercept);
      values[to] = value >= -32767 ? Math.min(value, 32767) : -32767; // NaN too is the lowest
      to += stepX;
      if (++x < width) continue;
      x = 0;
      to += stepY - width * stepX;
      if (++y < height) continue;
      y = 0;
      to += stepZ - height * stepY;
    }
    [this.#to, this.#x, this.#y] = [to, x, y];
    this.#left -= count;
    this.#rest = this.#left > 0 ? whole.slice(count * type.bytes) : new Uint8Array(0);
  }
}
