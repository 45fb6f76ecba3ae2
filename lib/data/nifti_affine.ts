/** A NIfTI header's affine, taken as nibabel and SimpleITK take it (nifti1.h, methods 1 to 3). */

import type { Geometry, Vec3 } from "./geometry.ts";

/** Where NIfTI-1 and NIfTI-2 keep what is needed, and how wide their numbers are. */
const LAYOUTS = {
  1: { wide: false, pixdim: 76, qcode: 252, scode: 254, quatern: 256, srow: 280, units: 123 },
  2: { wide: true, pixdim: 104, qcode: 344, scode: 348, quatern: 352, srow: 400, units: 500 },
} as const;
/** mm of xyzt_units 1, 2, 3: metres, millimetres, micrometres. */
const UNITS: Record<number, number> = { 1: 1000, 2: 1, 3: 1e-3 };

/** Steps and first voxel in the file's own world (RAS): rows of [i, j, k, offset]. */
type Affine = [number[], number[], number[]];

/**
 * Axes and origin in LPS mm of a volume of `size`: of the sform where it has a code, else of the
 * qform, else of the spacing alone (x from right to left, centred, as nibabel does).
 * @param notes gets what the user should know: forms that disagree, or none.
 * @throws Error where the form that counts is none.
 */
export function niftiGeometry(
  header: Uint8Array,
  version: 1 | 2,
  little: boolean,
  size: Vec3,
  notes: string[],
): Geometry {
  const at = LAYOUTS[version];
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const numbers = (from: number, count: number) =>
    Array.from(
      { length: count },
      (_, i) =>
        at.wide ? view.getFloat64(from + 8 * i, little) : view.getFloat32(from + 4 * i, little),
    );
  const code = (from: number) =>
    at.wide ? view.getInt32(from, little) : view.getInt16(from, little);
  const qcode = code(at.qcode), scode = code(at.scode);
  const [handed, ...spacing] = numbers(at.pixdim, 4);
  const mm = spacing.map(Math.abs) as Vec3;
  const srow = numbers(at.srow, 12);
  const sform: Affine = [srow.slice(0, 4), srow.slice(4, 8), srow.slice(8, 12)];
  const quaternion = numbers(at.quatern, 6);
  let affine: Affine;
  if (scode > 0) {
    affine = sform;
    const other = qcode > 0 ? rotated(quaternion, handed, mm) : null;
    if (other && differ(sform, other, size)) {
      notes.push("its sform and qform disagree: the sform is taken");
    }
  } else if (qcode > 0) {
    const form = rotated(quaternion, handed, mm);
    if (!form) throw new Error("its qform is no rotation");
    affine = form;
  } else {
    affine = ALL.map((n) => {
      const step = n === 0 ? -mm[n] : mm[n];
      return [...ALL.map((m) => m === n ? step : 0), -step * (size[n] - 1) / 2];
    }) as Affine;
    notes.push(
      "it has no orientation (sform and qform codes are 0): x is taken from right to left, y to the " +
        "front, z to the head",
    );
  }
  const unit = UNITS[(at.wide ? view.getInt32(at.units, little) : header[at.units]) & 7] ?? 1;
  // NIfTI's world is +x right, +y front; DICOM's +x left, +y back.
  const point = (n: number): Vec3 => [
    (0 - affine[0][n]) * unit,
    (0 - affine[1][n]) * unit,
    affine[2][n] * unit,
  ];
  return { size, axes: [point(0), point(1), point(2)], origin: point(3) };
}

const ALL = [0, 1, 2];

/** The qform's affine, or null where b² + c² + d² is beyond 1 or a value is no number. */
function rotated(quaternion: number[], handed: number, mm: Vec3): Affine | null {
  let [b, c, d] = quaternion;
  const offset = quaternion.slice(3), square = b * b + c * c + d * d;
  if (!(square <= 1 + 1e-3)) return null;
  const a = Math.sqrt(Math.max(0, 1 - square));
  if (square > 1) [b, c, d] = [b, c, d].map((v) => v / Math.sqrt(square));
  const [dx, dy] = mm, dz = handed < 0 ? -mm[2] : mm[2];
  return [
    [
      (a * a + b * b - c * c - d * d) * dx,
      2 * (b * c - a * d) * dy,
      2 * (b * d + a * c) * dz,
      offset[0],
    ],
    [
      2 * (b * c + a * d) * dx,
      (a * a + c * c - b * b - d * d) * dy,
      2 * (c * d - a * b) * dz,
      offset[1],
    ],
    [
      2 * (b * d - a * c) * dx,
      2 * (c * d + a * b) * dy,
      (a * a + d * d - c * c - b * b) * dz,
      offset[2],
    ],
  ];
}

/** Do the two put any corner of the volume more than half a voxel apart? */
function differ(a: Affine, b: Affine, size: Vec3): boolean {
  const voxel = Math.min(...ALL.map((n) => Math.hypot(a[0][n], a[1][n], a[2][n])));
  for (let corner = 0; corner < 8; corner++) {
    const at = [...ALL.map((n) => corner >> n & 1 ? size[n] - 1 : 0), 1];
    const apart = ALL.map((row) =>
      at.reduce((sum, steps, n) => sum + steps * (a[row][n] - b[row][n]), 0)
    );
    if (!(Math.hypot(...apart) <= voxel / 2)) return true;
  }
  return false;
}
