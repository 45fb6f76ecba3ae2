/** Voxels of any volume file, turned and rounded as they come: a large file is never whole in memory. */

import {
  axialTurn,
  type Geometry,
  turnGeometry,
  turnSteps,
  type Vec3,
  type Volume,
} from "./geometry.ts";

/** A volume as a file has it. */
export interface FileVolume extends Volume {
  /** Values are scaled as the header says, rounded, at most ±32767: how many were no whole number. */
  fractional: number;
  /** What the user should know of the file. */
  notes: string[];
}

/** `axial`: slices from the feet up, the front on top (lib/data/geometry.ts). `stored`: as the file has them. */
export type VolumeOrder = "axial" | "stored";

type Read = (view: DataView, at: number, little: boolean) => number;
export type VoxelType = "u1" | "i1" | "i2" | "u2" | "i4" | "u4" | "f4" | "f8";

/** Bytes of a voxel are the second character. */
const READ: Record<VoxelType, Read> = {
  u1: (v, at) => v.getUint8(at),
  i1: (v, at) => v.getInt8(at),
  i2: (v, at, little) => v.getInt16(at, little),
  u2: (v, at, little) => v.getUint16(at, little),
  i4: (v, at, little) => v.getInt32(at, little),
  u4: (v, at, little) => v.getUint32(at, little),
  f4: (v, at, little) => v.getFloat32(at, little),
  f8: (v, at, little) => v.getFloat64(at, little),
};

export function voxelBytes(type: VoxelType): number {
  return Number(type[1]);
}

/** What a header says of the voxels that follow it. */
export interface VoxelHeader extends Geometry {
  type: VoxelType;
  little: boolean;
  slope: number;
  intercept: number;
  notes: string[];
}

/** Why voxels cannot lie where the header says, or null. */
export function placeExcess({ axes, origin }: Geometry): string | null {
  const lengths = axes.map((axis) => Math.hypot(...axis));
  if (!lengths.every((mm) => mm >= 0.01 && mm <= 100)) {
    return `voxels of ${lengths.map((mm) => mm.toFixed(3)).join(" × ")} mm`;
  }
  return origin.every(Number.isFinite) ? null : "its origin is not a point";
}

/** Puts voxels, as they come, where the turned volume has them. */
export class VoxelSink {
  readonly volume: FileVolume;
  readonly #header: VoxelHeader;
  /** How far apart neighbours along the file's axes are in the result, and where its first lies. */
  readonly #steps: Vec3;
  #to: number;
  /** Of the next voxel in the file. */
  #x = 0;
  #y = 0;
  #left: number;
  /** The beginning of a voxel whose end has not come yet. */
  #rest = new Uint8Array(0);

  constructor(header: VoxelHeader, order: VolumeOrder, fail: (why: string) => Error) {
    const { size, axes, origin, notes } = header;
    const turn = order === "stored"
      ? { axis: [0, 1, 2] as Vec3, flip: [false, false, false] as [boolean, boolean, boolean] }
      : axialTurn(header);
    if (!turn) throw fail("its axes are oblique: more than 26° off the patient's");
    const { start, steps } = turnSteps(size, turn);
    this.#steps = steps;
    this.#to = start;
    this.#header = header;
    this.#left = size[0] * size[1] * size[2];
    this.volume = {
      ...turnGeometry({ size, axes, origin }, turn),
      values: new Int16Array(this.#left),
      fractional: 0,
      notes,
    };
  }

  /** The next bytes of the file's voxels; more than there are voxels is passed over. */
  take(bytes: Uint8Array): void {
    const { size: [columns, rows], type, little, slope, intercept } = this.#header;
    const whole = this.#rest.length > 0 ? joined(this.#rest, bytes) : bytes;
    const view = new DataView(whole.buffer, whole.byteOffset, whole.byteLength);
    const width = voxelBytes(type), read = READ[type];
    const count = Math.min(this.#left, Math.floor(whole.length / width));
    const { values } = this.volume, [stepX, stepY, stepZ] = this.#steps;
    let to = this.#to, x = this.#x, y = this.#y, fractional = 0;
    for (let i = 0; i < count; i++) {
      const exact = read(view, i * width, little) * slope + intercept;
      const value = Math.round(exact);
      if (value !== exact) fractional++;
      values[to] = value >= -32767 ? Math.min(value, 32767) : -32767; // NaN too is the lowest
      to += stepX;
      if (++x < columns) continue;
      x = 0;
      to += stepY - columns * stepX;
      if (++y < rows) continue;
      y = 0;
      to += stepZ - rows * stepY;
    }
    this.volume.fractional += fractional;
    [this.#to, this.#x, this.#y] = [to, x, y];
    this.#left -= count;
    this.#rest = this.#left > 0 ? whole.slice(count * width) : new Uint8Array(0);
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
