/** Where voxels lie: against nibabel and SimpleITK (tests/reference/make_geometry.py), and turned. */

import assert from "node:assert/strict";
import {
  axialTurn,
  dicomGeometry,
  type Geometry,
  gridDifference,
  toAxial,
  turnGeometry,
  turnValues,
  type Vec3,
} from "../../lib/data/geometry.ts";
import { readNifti } from "../../lib/data/nifti.ts";
import { FIXTURES } from "./shared_ct.ts";

const folder = `${FIXTURES}/geometry`;
interface Expected {
  axes: Vec3[];
  origin: Vec3;
  size: Vec3;
  values: number[];
}
const expected: Record<string, Expected> = JSON.parse(
  Deno.readTextFileSync(`${folder}/expected.json`),
);
const near = (a: number[], b: number[], within = 1e-3) =>
  a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) <= within, `[${a}] is not [${b}]`));

for (const [name, { axes, origin, size, values }] of Object.entries(expected)) {
  Deno.test(`NIfTI ${name}: affine and turned values are nibabel's`, async () => {
    const stored = await readNifti(`${folder}/${name}.nii`, "stored");
    stored.axes.forEach((axis, n) => near(axis, axes[n]));
    near(stored.origin, origin);
    const turned = await readNifti(`${folder}/${name}.nii`);
    assert.deepEqual(turned.size, size);
    assert.deepEqual([...turned.values], values);
    assert.deepEqual(toAxial(stored)!.values, turned.values);
    const said = turned.notes.join();
    assert.equal(/disagree/.test(said), name.startsWith("sform_"), said);
    assert.equal(/no orientation/.test(said), name === "no_codes", said);
  });
}

const grid: Geometry = {
  size: [5, 4, 3],
  axes: [[0.7, 0, 0], [0, 0.8, 0], [0, 0, 2.5]],
  origin: [-10, 20, 30],
};

Deno.test("a turned grid keeps every voxel's value at its place in the patient", () => {
  const values = Int16Array.from({ length: 60 }, (_, i) => i);
  const at = ({ size, axes, origin }: Geometry, i: number): number[] => {
    const index = [
      i % size[0],
      Math.floor(i / size[0]) % size[1],
      Math.floor(i / size[0] / size[1]),
    ];
    return origin.map((v, n) => v + index.reduce((sum, c, a) => sum + c * axes[a][n], 0));
  };
  const places = new Map([...values].map((v, i) => [v, at(grid, i)]));
  for (const axis of [[0, 1, 2], [1, 0, 2], [2, 0, 1], [2, 1, 0]] as Vec3[]) {
    for (let bits = 0; bits < 8; bits++) {
      const turn = {
        axis,
        flip: [bits & 1, bits & 2, bits & 4].map(Boolean) as [true, true, true],
      };
      const moved = turnGeometry(grid, turn), data = turnValues(values, grid.size, turn);
      data.forEach((v, i) => near(at(moved, i), places.get(v)!, 1e-9));
      const back = toAxial({ ...moved, values: data })!;
      assert.deepEqual(back.values, values);
      assert.equal(gridDifference(grid, back), null);
    }
  }
});

Deno.test("a grid more than 26° off the patient's axes is not axial, 25° of tilt is", () => {
  const tilted = (degrees: number): Geometry => {
    const a = degrees * Math.PI / 180, row: Vec3 = [1, 0, 0];
    const column: Vec3 = [0, Math.cos(a), Math.sin(a)];
    const positions = [0, 1, 2].map((z): Vec3 => [0, 0, 3 * z]);
    return dicomGeometry({ rows: 4, columns: 5, row, column, pixelSpacing: [1, 1], positions });
  };
  assert.deepEqual(axialTurn(tilted(25))!.axis, [0, 1, 2]);
  assert.equal(axialTurn(tilted(40)), null);
});

Deno.test("one grid or two: half a voxel of origin and direction, 1% of spacing", () => {
  const big: Geometry = { ...grid, size: [512, 512, 100] };
  const moved = (n: number, by: number) => ({
    ...big,
    origin: big.origin.map((v, i) => i === n ? v + by : v) as Vec3,
  });
  const same = (other: Geometry) => gridDifference(big, other);
  assert.equal(same(moved(0, 0.34)), null);
  assert.match(same(moved(0, 0.4))!, /first voxel is at \(-9\.6, 20\.0, 30\.0\)/);
  assert.match(same(moved(2, -1.3))!, /1\.3 mm apart/);
  assert.match(same(moved(1, 500))!, /500\.0 mm apart/);
  const scaled = (by: number): Geometry => ({
    ...big,
    axes: [[0.7 * by, 0, 0], ...big.axes.slice(1)] as Geometry["axes"],
  });
  assert.equal(same(scaled(1.009)), null);
  assert.match(same(scaled(1.011))!, /voxels of 0\.708/);
  const turned = (a: number): Geometry => ({
    ...big,
    axes: [[0.7 * Math.cos(a), 0.7 * Math.sin(a), 0], big.axes[1], big.axes[2]],
  });
  assert.equal(same(turned(0.0008)), null);
  assert.match(same(turned(0.002))!, /columns run along/);
  assert.match(
    same({ ...big, size: [512, 512, 99] })!,
    /shape \[99,512,512\] must be \[100,512,512\]/,
  );
});
