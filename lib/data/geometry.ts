/**
 * Where voxels lie in the patient, whatever file they came from. All coordinates are DICOM's, LPS:
 * millimetres, +x to the patient's left, +y to the back, +z to the head.
 */

export type Vec3 = [number, number, number];

/** A grid of voxels: voxel (i, j, k) has its centre at origin + i·axes[0] + j·axes[1] + k·axes[2]. */
export interface Geometry {
  /** Columns, rows, slices: voxels along each axis. */
  size: Vec3;
  /** The step to the next column, row and slice, LPS mm. */
  axes: [Vec3, Vec3, Vec3];
  /** Centre of the first voxel, LPS mm. */
  origin: Vec3;
}

/** Values on a grid, slices × rows × columns: columns run fastest. */
export interface Volume<T extends Values = Int16Array> extends Geometry {
  values: T;
}

type Values = Int16Array | Uint8Array | Float32Array;

/**
 * How a grid's axes are to be exchanged and reversed: `axis[n]` is the old axis that becomes axis n,
 * `flip[n]` says that it runs the other way then.
 */
export interface Turn {
  axis: Vec3;
  flip: [boolean, boolean, boolean];
}

/** cos 26°: a gantry tilted by up to 25° is still axial, a coronal or sagittal reformat is not. */
export const MIN_AXIAL_COSINE = 0.898;
/** What two grids of one volume may differ by: part of a voxel, and share of the spacing. */
export const SAME_VOXEL = 0.5, SAME_SPACING = 0.01;

const PERMUTATIONS: Vec3[] = [[0, 1, 2], [1, 0, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0], [2, 0, 1]];
const ALL = [0, 1, 2] as const;

export function dot(a: Vec3, b: Vec3): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** Row direction × column direction: the direction in which slices are stacked. */
export function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** Distance of neighbours along columns, rows and slices' axes, mm. */
export function spacingOf({ axes }: Pick<Geometry, "axes">): Vec3 {
  return axes.map((axis) => Math.hypot(...axis)) as Vec3;
}

/**
 * The grid of a stack of DICOM slices: steps within the slice from ImageOrientationPatient and
 * PixelSpacing, between slices the mean of the ImagePositionPatient, which are in stacking order.
 */
export function dicomGeometry(stack: {
  rows: number;
  columns: number;
  /** Directions of increasing column and of increasing row; mm between rows, between columns. */
  row: Vec3;
  column: Vec3;
  pixelSpacing: readonly [number, number];
  positions: readonly Vec3[];
}): Geometry {
  const { rows, columns, row, column, pixelSpacing: [dy, dx], positions } = stack;
  const first = positions[0], last = positions[positions.length - 1], steps = positions.length - 1;
  const step = steps > 0
    ? first.map((from, i) => (last[i] - from) / steps) as Vec3
    : cross(row, column);
  return {
    size: [columns, rows, positions.length],
    axes: [row.map((v) => v * dx) as Vec3, column.map((v) => v * dy) as Vec3, step],
    origin: [...first],
  };
}

/**
 * The exchange of axes that makes slices axial, from the feet up, seen from the feet, the patient's
 * front on top: the way DICOM slices mostly lie. Null where an axis is more than 26° off.
 */
export function axialTurn({ axes }: Pick<Geometry, "axes">): Turn | null {
  const cosines = axes.map((axis) => axis.map((v) => v / Math.hypot(...axis)));
  const along = (axis: Vec3) => ALL.map((n) => Math.abs(cosines[axis[n]][n]));
  const sum = (axis: Vec3) => along(axis).reduce((a, b) => a + b, 0);
  const axis = PERMUTATIONS.reduce((best, p) => sum(p) > sum(best) + 1e-9 ? p : best);
  if (!along(axis).every((cosine) => cosine >= MIN_AXIAL_COSINE)) return null;
  return { axis, flip: ALL.map((n) => cosines[axis[n]][n] < 0) as Turn["flip"] };
}

/** Does the turn leave everything as it is? */
export function isNoTurn({ axis, flip }: Turn): boolean {
  return ALL.every((n) => axis[n] === n && !flip[n]);
}

/** The grid with its axes exchanged and reversed; every voxel stays where it is in the patient. */
export function turnGeometry({ size, axes, origin }: Geometry, { axis, flip }: Turn): Geometry {
  const start: Vec3 = [...origin];
  for (const n of ALL) {
    if (!flip[n]) continue;
    for (const i of ALL) start[i] += axes[axis[n]][i] * (size[axis[n]] - 1);
  }
  return {
    size: axis.map((old) => size[old]) as Vec3,
    axes: ALL.map((n) => axes[axis[n]].map((v) => flip[n] ? 0 - v : v)) as Geometry["axes"],
    origin: start,
  };
}

/**
 * Where the first voxel of a grid of `size` comes to lie in the turned values, and how far apart
 * there are neighbours along the old axes.
 */
export function turnSteps(size: Vec3, { axis, flip }: Turn): { start: number; steps: Vec3 } {
  const steps: Vec3 = [0, 0, 0];
  let start = 0, stride = 1;
  for (const n of ALL) {
    const old = axis[n];
    steps[old] = flip[n] ? -stride : stride;
    if (flip[n]) start += stride * (size[old] - 1);
    stride *= size[old];
  }
  return { start, steps };
}

/** The values of a grid of `size`, turned; the same array where the turn is none. */
export function turnValues<T extends Values>(values: T, size: Vec3, turn: Turn): T {
  if (isNoTurn(turn)) return values;
  const { start, steps: [dx, dy, dz] } = turnSteps(size, turn);
  const out = values.slice() as T, [columns, rows, slices] = size;
  let from = 0;
  for (let z = 0; z < slices; z++) {
    for (let y = 0; y < rows; y++) {
      let to = start + z * dz + y * dy;
      for (let x = 0; x < columns; x++, to += dx) out[to] = values[from++];
    }
  }
  return out;
}

/** The volume with axial slices from the feet up (see {@link axialTurn}), or null where it is oblique. */
export function toAxial<T extends Values>(volume: Volume<T>): Volume<T> | null {
  const turn = axialTurn(volume);
  if (!turn) return null;
  return {
    ...turnGeometry(volume, turn),
    values: turnValues(volume.values, volume.size, turn),
  };
}

/**
 * Why `other` is not on the grid of `own`, or null where it is: origin and directions within half a
 * voxel, spacing within 1%. Both must be turned the same way ({@link toAxial}).
 */
export function gridDifference(own: Geometry, other: Geometry): string | null {
  const shape = ({ size: [columns, rows, slices] }: Geometry) => `[${slices},${rows},${columns}]`;
  if (own.size.some((n, i) => n !== other.size[i])) {
    return `shape ${shape(other)} must be ${shape(own)} (slices, rows, columns)`;
  }
  const mm = spacingOf(own), theirs = spacingOf(other);
  const list = (v: Vec3) => v.map((n) => Number(n.toFixed(3))).join(" × ");
  const counted = ALL.filter((n) => own.size[n] > 1);
  if (counted.some((n) => Math.abs(theirs[n] - mm[n]) > SAME_SPACING * mm[n])) {
    return `voxels of ${list(theirs)} mm must be ${list(mm)} mm`;
  }
  for (const n of counted) {
    // How far the last voxel along this axis is off, by direction alone, in voxels of each axis.
    const off = own.axes[n].map((v, i) =>
      (v / mm[n] - other.axes[n][i] / theirs[n]) * mm[n] * (own.size[n] - 1)
    ) as Vec3;
    if (ALL.some((m) => Math.abs(dot(off, own.axes[m])) > SAME_VOXEL * mm[m] ** 2)) {
      const name = ["columns", "rows", "slices"][n];
      return `its ${name} run along (${list(other.axes[n])}), the image's along (${
        list(own.axes[n])
      })`;
    }
  }
  const apart = other.origin.map((v, i) => v - own.origin[i]) as Vec3;
  if (ALL.some((m) => Math.abs(dot(apart, own.axes[m])) > (SAME_VOXEL + 1e-3) * mm[m] ** 2)) {
    const point = (p: Vec3) => `(${p.map((n) => n.toFixed(1)).join(", ")})`;
    return `its first voxel is at ${point(other.origin)} mm, the image's at ${point(own.origin)} ` +
      `mm (LPS), ${Math.hypot(...apart).toFixed(1)} mm apart`;
  }
  return null;
}
