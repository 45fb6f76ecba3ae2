/** SEG and RTSTRUCT against what highdicom reads back and matplotlib fills. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { MaskGrid } from "../../lib/data/dicom/mask_grid.ts";
import { parseMaskObject, readMaskObject } from "../../lib/data/dicom/mask_object.ts";
import { type CtVolume, loadSeries } from "../../lib/data/dicom/series.ts";
import { InputError } from "../../lib/errors.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { FIXTURES } from "./shared_ct.ts";

const folder = `${FIXTURES}/objects`;
const volume: CtVolume = await loadSeries([0, 1, 2, 3, 4].map((z) => `${folder}/ct${z}.dcm`));
const drawn = (grid: MaskGrid, draw: (grid: MaskGrid, mask: Uint8Array) => void) => {
  const mask = new Uint8Array(volume.hu.length);
  draw(grid, mask);
  return mask;
};

for (const name of ["binary", "fractional", "rle"]) {
  Deno.test(`SEG ${name}: both segments as highdicom reads them`, async () => {
    const { regions, series, kind } = await readMaskObject(`${folder}/${name}.seg.dcm`);
    assert.deepEqual([kind, series], ["SEG", [volume.seriesUid]]);
    assert.deepEqual(regions.map((r) => r.name), ["Nodule", "Right lung"]);
    assert.deepEqual(regions[0].kinds[0], "Nodule");
    const wanted = await readNpy(`${folder}/${name}.npy`);
    regions.forEach((region, i) =>
      assert.deepEqual(
        drawn(volume, region.draw),
        wanted.data.slice(i * volume.hu.length, (i + 1) * volume.hu.length),
      )
    );
  });
}

Deno.test("RTSTRUCT: every ROI as matplotlib fills it, holes left out", async () => {
  const { regions, series, kind } = await readMaskObject(`${folder}/rtstruct.dcm`);
  assert.deepEqual([kind, series], ["RTSTRUCT", [volume.seriesUid]]);
  assert.deepEqual(regions.map((r) => r.name), ["GTV-1", "Lung-Left", "Lung-Right", "Spinal-Cord"]);
  const wanted = await readNpy(`${folder}/rtstruct.npy`);
  regions.forEach((region, i) =>
    assert.deepEqual(
      drawn(volume, region.draw),
      wanted.data.slice(i * volume.hu.length, (i + 1) * volume.hu.length),
      region.name,
    )
  );
});

Deno.test("a volume that was turned gets the mask where the patient has it", async () => {
  const { regions } = await readMaskObject(`${folder}/binary.seg.dcm`);
  const plain = drawn(volume, regions[0].draw), { rows, columns } = volume, area = rows * columns;
  const [dy] = volume.pixelSpacing;
  // Rows from the back to the front, slices from the head down.
  const turned: MaskGrid = {
    ...volume,
    column: [0, -1, 0],
    normal: [0, 0, -1],
    slices: volume.slices.toReversed().map((s) => ({
      ...s,
      position: [s.position[0], s.position[1] + dy * (rows - 1), s.position[2]],
    })),
  };
  for (const name of ["binary.seg", "rtstruct"]) {
    const { regions: [region] } = await readMaskObject(`${folder}/${name}.dcm`);
    const own = name === "rtstruct" ? drawn(volume, region.draw) : plain;
    const got = drawn(turned, region.draw);
    for (let i = 0; i < got.length; i++) {
      const z = Math.floor(i / area), y = Math.floor(i / columns) % rows, x = i % columns;
      assert.equal(got[i], own[(4 - z) * area + (rows - 1 - y) * columns + x], name);
    }
  }
});

/** The part of the grid's slices from (x, y) on. */
function windowOf(grid: MaskGrid, x: number, y: number, columns: number, rows: number): MaskGrid {
  const [dy, dx] = grid.pixelSpacing;
  const slices = grid.slices.map((s) => ({
    ...s,
    position: s.position.map((v, i) => v + x * dx * grid.row[i] + y * dy * grid.column[i]) as [
      number,
      number,
      number,
    ],
  }));
  return { ...grid, columns, rows, slices };
}

Deno.test("a SEG larger than the slices fits where its set pixels do, to the last one on each side", async () => {
  const { regions: [{ draw }] } = await readMaskObject(`${folder}/binary.seg.dcm`);
  const { rows, columns } = volume, [dy, dx] = volume.pixelSpacing;
  const flipped = (x: 1 | -1, y: 1 | -1): MaskGrid => ({
    ...windowOf(volume, x < 0 ? columns - 1 : 0, y < 0 ? rows - 1 : 0, columns, rows),
    row: [x, 0, 0],
    column: [0, y, 0],
    normal: [0, 0, x * y],
  });
  assert.ok(dx > 0 && dy > 0);
  for (const [x, y] of [[1, 1], [-1, 1], [1, -1], [-1, -1]] as const) {
    const grid = flipped(x, y);
    const own = grid.normal[2] > 0 ? grid : { ...grid, slices: grid.slices.toReversed() };
    const whole = drawn(own, draw), area = rows * columns;
    const set = [...whole.keys()].filter((i) => whole[i]);
    const xs = set.map((i) => i % columns), ys = set.map((i) => Math.floor(i % area / columns));
    const [x0, y0] = [Math.min(...xs), Math.min(...ys)];
    const [w, h] = [Math.max(...xs) - x0 + 1, Math.max(...ys) - y0 + 1];
    assert.ok(set.length > 5 && w < columns && h < rows);
    const tight = windowOf(own, x0, y0, w, h), mask = new Uint8Array(5 * w * h);
    draw(tight, mask);
    for (let i = 0; i < mask.length; i++) {
      const z = Math.floor(i / (w * h)), y = Math.floor(i / w) % h, x = i % w;
      assert.equal(mask[i], whole[z * area + (y0 + y) * columns + x0 + x]);
    }
    for (
      const [x, y, columns, rows] of [
        [x0 + 1, y0, w - 1, h],
        [x0, y0 + 1, w, h - 1],
        [x0, y0, w - 1, h],
        [x0, y0, w, h - 1],
      ]
    ) {
      assert.throws(
        () => draw(windowOf(own, x, y, columns, rows), new Uint8Array(5 * w * h)),
        /reaches beyond the image/,
      );
    }
  }
});

const refusals: [string, string, Partial<MaskGrid>, RegExp][] = [
  ["pixels of another size", "binary.seg", { pixelSpacing: [1.6, 1.4] }, /not those of the image/],
  ["no slice there", "binary.seg", {
    slices: volume.slices.slice(0, 2).map((s) => ({ ...s, sopInstance: "x" })),
  }, /lies on no slice/],
  ["no slice there", "rtstruct", {
    slices: volume.slices.slice(0, 2).map((s) => ({ ...s, sopInstance: "x" })),
  }, /lies on no slice/],
  ["the image it names lies elsewhere", "rtstruct", {
    slices: volume.slices.map((s, i) => ({ ...s, sopInstance: volume.slices[4 - i].sopInstance })),
  }, /it names image/],
  ["the image it names lies elsewhere", "binary.seg", {
    slices: volume.slices.map((s, i) => ({ ...s, sopInstance: volume.slices[4 - i].sopInstance })),
  }, /it names image/],
];
for (const [name, file, change, why] of refusals) {
  Deno.test(`${file}, ${name}: refused`, async () => {
    const { regions } = await readMaskObject(`${folder}/${file}.dcm`);
    assert.throws(() => drawn({ ...volume, ...change }, regions[0].draw), why);
  });
}

Deno.test("cut or changed objects are refused with file and reason", async () => {
  const bytes = Deno.readFileSync(`${folder}/binary.seg.dcm`);
  const cases: [string, Uint8Array, RegExp][] = [
    ["cut", bytes.subarray(0, bytes.length - 100), /x\.dcm/],
    ["labelmap", replaced(bytes, "BINARY", "LABELM"), /LABELM.*only BINARY and FRACTIONAL/],
    [
      "not an object",
      Deno.readFileSync(`${folder}/ct0.dcm`),
      /SOP class 1\.2\.840\.10008\.5\.1\.4\.1\.1\.2/,
    ],
    [
      "open outlines",
      replaced(Deno.readFileSync(`${folder}/rtstruct.dcm`), "CLOSED_PLANAR", "OPEN_PLANAR  "),
      /OPEN_PLANAR/,
    ],
  ];
  for (const [name, data, why] of cases) {
    await assert.rejects(
      () => parseMaskObject(data, "x.dcm"),
      (error: Error) => error instanceof InputError && why.test(error.message),
      name,
    );
  }
});

function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const out = Buffer.from(bytes);
  for (let at = out.indexOf(from); at >= 0; at = out.indexOf(from, at + 1)) {
    out.write(to, at, "latin1");
  }
  return new Uint8Array(out);
}
