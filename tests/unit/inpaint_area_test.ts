/** What may be asked of an inpainting: where a circle lies, how large, how much of it in the lung. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openInpainting } from "../../lib/diffusion/inpaint.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";

const [height, width] = [20, 32];

Deno.test("a circle must begin in the slice, cover three model pixels, half of it in the lung", async () => {
  const dir = await Deno.makeTempDir();
  const slice = join(dir, "A_slice_1.npy");
  await writeNpy(slice, [height, width], new Int16Array(height * width).fill(-800));
  // The lung is the columns from 16 on.
  const lung = Uint8Array.from({ length: height * width }, (_, i) => i % width >= 16 ? 1 : 0);
  await writeNpy(join(dir, "A_lung_mask_1.npy"), [height, width], lung);
  const open = (region: string, size = { height, width }) =>
    openInpainting(
      { slice, region, fieldMm: 32, isFieldGiven: true, seed: 0 },
      size,
      { antialias: true, condition: "class" } as Parameters<typeof openInpainting>[2],
      1,
    );
  const refused = (region: string, message: RegExp, size?: { height: number; width: number }) =>
    assert.rejects(open(region, size), message, region);

  // The centre: x of 32 columns, y of 20 rows.
  const [part] = (await open("24,9,2")).partsOf(0);
  const set = [...part.region.keys()].filter((i) => part.region[i]);
  assert.equal(set.length, 13);
  assert.deepEqual([set[0], set.at(-1)], [7 * width + 24, 11 * width + 24]);
  assert.equal((await open("31,19,2")).partsOf(0).length, 1);
  await refused("32,9,2", /must be in \[0,32\) and \[0,20\)/);
  await refused("24,20,2", /must be in \[0,32\) and \[0,20\)/);
  await refused("-1,9,2", /must be in/);
  await refused("24,-1,2", /must be in/);
  await refused("24,9,0", /r above 0/);
  // Five pixels; of a model of half the rows and columns 1.25 of its own.
  await open("24,9,1");
  await refused("24,9,1", /1\.3 of the model's pixels of 2\.0 mm, under 3/, {
    height: 10,
    width: 16,
  });
  // Thirteen pixels are 3.25 of them.
  await open("24,9,2", { height: 10, width: 16 });
  // Of 13 pixels 9 lie from column 16 on, one column further left 4.
  await open("16,9,2");
  await refused("15,9,2", /31% of it lies in the lung, at least 50% must/);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("around a nodule what lies within 2 mm of it is made anew, as far as it is lung", async () => {
  const dir = await Deno.makeTempDir();
  const slice = join(dir, "A_slice_1.npy");
  await writeNpy(slice, [height, width], new Int16Array(height * width).fill(-800));
  const lung = Uint8Array.from({ length: height * width }, (_, i) => i % width < 23 ? 1 : 0);
  await writeNpy(join(dir, "A_lung_mask_1.npy"), [height, width], lung);
  const { partsOf } = await openInpainting(
    { slice, nodules: [{ x: 18, y: 9, diameterMm: 7 }], fieldMm: 32, isFieldGiven: true, seed: 0 },
    { height, width },
    { antialias: true, condition: "nodule-mask" } as Parameters<typeof openInpainting>[2],
    1,
  );
  const [{ nodules, region }] = partsOf(0);
  const inside = [...nodules.keys()].filter((i) => nodules[i]);
  assert.ok(inside.length > 20);
  const near = (i: number) =>
    inside.some((j) =>
      Math.hypot(i % width - j % width, Math.floor(i / width) - Math.floor(j / width)) <= 2
    );
  for (let i = 0; i < region.length; i++) {
    assert.equal(region[i], lung[i] && near(i) ? 1 : 0, `${i % width}, ${Math.floor(i / width)}`);
  }
  await Deno.remove(dir, { recursive: true });
});
