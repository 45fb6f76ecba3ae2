/** NIfTI-1 and -2 volumes (`.nii`, `.nii.gz`), turned the way DICOM slices mostly lie. */

import { isNIFTI, isNIFTI1, readHeader } from "nifti-reader-js";
import { InputError } from "../errors.ts";
import { fileChunks, unzipped } from "../io/chunks.ts";
import { LIMITS, volumeExcess } from "../io/limits.ts";
import { axialTurn, turnGeometry, turnSteps, type Vec3, type Volume } from "./geometry.ts";
import { niftiGeometry } from "./nifti_affine.ts";

export interface NiftiVolume extends Volume {
  /** Values are scaled by the header's slope, rounded, at most ±32767: how many were no whole number. */
  fractional: number;
  /** What the user should know of the file. */
  notes: string[];
}

/** `axial`: slices from the feet up, the front on top (lib/data/geometry.ts). `stored`: as the file has them. */
export type NiftiOrder = "axial" | "stored";

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
export async function readNifti(path: string, order: NiftiOrder = "axial"): Promise<NiftiVolume> {
  return await fromChunks(fileChunks(path, LIMITS.volume.bytes + MAX_OTHER), path, order);
}

/**
 * Parses a volume, compressed or not.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export async function parseNifti(
  bytes: Uint8Array,
  name: string,
  order: NiftiOrder = "axial",
): Promise<NiftiVolume> {
  return await fromChunks([bytes], name, order);
}

/**
 * A volume from its bytes as they come: a compressed or wide one is never whole in memory. What the
 * header claims is checked before room is made for it.
 */
async function fromChunks(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  name: string,
  order: NiftiOrder,
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
      voxels = new Turned(header, order, fail);
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
    voxels = new Turned(header, order, fail);
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

interface Header extends Pick<Volume, "size" | "axes" | "origin"> {
  count: number;
  type: { bytes: number; read: Reader };
  offset: number;
  little: boolean;
  slope: number;
  intercept: number;
  notes: string[];
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
  const size = [0, 1, 2].map((axis) => axis < rank ? sizes[axis] : 1) as Vec3;
  const beyond = sizes.slice(3, rank).find((size) => size > 1);
  if (beyond !== undefined) throw fail(`more than three dimensions: [${sizes.slice(0, rank)}]`);
  const type = TYPES[header.datatypeCode];
  if (!type) throw fail(`data type ${header.datatypeCode} is not supported`);
  const excess = volumeExcess(size, type.bytes);
  if (excess) throw fail(excess);
  const offset = Number(header.vox_offset);
  if (!(offset >= 0 && offset <= MAX_OTHER)) throw fail(`voxels start at byte ${offset}`);
  const notes: string[] = [], little = header.littleEndian;
  let place: ReturnType<typeof niftiGeometry>;
  try {
    place = niftiGeometry(start, isNIFTI1(start.buffer) ? 1 : 2, little, size, notes);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const lengths = place.axes.map((axis) => Math.hypot(...axis));
  if (!lengths.every((mm) => mm >= 0.01 && mm <= 100)) {
    throw fail(`voxels of ${lengths.map((mm) => mm.toFixed(3)).join(" × ")} mm`);
  }
  if (!place.origin.every(Number.isFinite)) throw fail("its origin is not a point");
  // Without a slope neither counts (nifti1.h); nibabel does the same.
  const isScaled = Number.isFinite(header.scl_slope) && header.scl_slope !== 0;
  return {
    ...place,
    count: size[0] * size[1] * size[2],
    type,
    offset,
    little,
    slope: isScaled ? header.scl_slope : 1,
    intercept: isScaled && Number.isFinite(header.scl_inter) ? header.scl_inter : 0,
    notes,
  };
}

/** Puts voxels, as they come, where the turned volume has them. */
class Turned {
  readonly volume: NiftiVolume;
  readonly #header: Header;
  /** How far apart neighbours along the file's axes are in the result, and where its first lies. */
  readonly #steps: Vec3;
  #to: number;
  /** Of the next voxel in the file. */
  #x = 0;
  #y = 0;
  #left: number;
  /** The beginning of a voxel whose end has not come yet. */
  #rest = new Uint8Array(0);

  constructor(header: Header, order: NiftiOrder, fail: (why: string) => Error) {
    const { size, axes, origin, notes } = header;
    const turn = order === "stored"
      ? { axis: [0, 1, 2] as Vec3, flip: [false, false, false] as [boolean, boolean, boolean] }
      : axialTurn(header);
    if (!turn) throw fail("its axes are oblique: more than 26° off the patient's");
    const { start, steps } = turnSteps(size, turn);
    this.#steps = steps;
    this.#to = start;
    this.#header = header;
    this.#left = header.count;
    this.volume = {
      ...turnGeometry({ size, axes, origin }, turn),
      values: new Int16Array(header.count),
      fractional: 0,
      notes,
    };
  }

  /** The next bytes of the file's voxels; more than there are voxels is passed over. */
  take(bytes: Uint8Array): void {
    const { size: [width, height], type, little, slope, intercept } = this.#header;
    const whole = this.#rest.length > 0 ? joined(this.#rest, bytes) : bytes;
    const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
    const count = Math.min(this.#left, Math.floor(whole.length / type.bytes));
    const { values } = this.volume, [stepX, stepY, stepZ] = this.#steps;
    let to = this.#to, x = this.#x, y = this.#y, fractional = 0;
    for (let i = 0; i < count; i++) {
      const exact = type.read(view, i * type.bytes, little) * slope + intercept;
      const value = Math.round(exact);
      if (value !== exact) fractional++;
      values[to] = value >= -32767 ? Math.min(value, 32767) : -32767; // NaN too is the lowest
      to += stepX;
      if (++x < width) continue;
      x = 0;
      to += stepY - width * stepX;
      if (++y < height) continue;
      y = 0;
      to += stepZ - height * stepY;
    }
    this.volume.fractional += fractional;
    [this.#to, this.#x, this.#y] = [to, x, y];
    this.#left -= count;
    this.#rest = this.#left > 0 ? whole.slice(count * type.bytes) : new Uint8Array(0);
  }
}
