/** Nodules put into slices at their own size, by a model of patches, as a user does it. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodePixels } from "../../lib/data/dicom/pixels.ts";
import { readWhole } from "../../lib/data/dicom/read_header.ts";
import { encodeCtFile } from "../../lib/data/dicom_write/ct_file.ts";
import { encodeNifti } from "../../lib/data/nifti_write.ts";
import { type OneSlice, readOneSlice } from "../../lib/data/one_slice.ts";
import { phantomSlice } from "../../lib/data/phantom.ts";
import { shareOf } from "../../lib/diffusion/inpaint_run.ts";
import { readNpy, writeNpy } from "../../lib/io/npy_file.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SIZE = 160, MM = 350 / SIZE;

async function run(script: string, ...args: string[]) {
  const permissions = ["--allow-read", "--allow-write", "--allow-env=INIT_CWD"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", ...permissions, join(ROOT, "scripts", `${script}.ts`), ...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

async function good(script: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await run(script, ...args);
  assert.equal(code, 0, err + out);
  return out;
}

const TINY = {
  train_batch_size: 2,
  phantom_slices: 8,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  crops_per_slice: 1,
  condition: "nodule-mask",
  unet: {
    block_out_channels: [4, 8],
    norm_num_groups: 4,
    attention_head_dim: 4,
    down_block_types: ["DownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "UpBlock2D"],
  },
};

const values = async (path: string) => (await readNpy(path)).data as Float32Array;
const area = (mask: ArrayLike<number>) => Array.from(mask).filter((v) => v).length;

/** A DICOM slice of signed or unsigned values with a slope that is not 1, padding outside. */
function dicomOf(hu: Float32Array, slope: number, intercept: number, signed: boolean) {
  const stored = hu.map((v) => Math.round((v - intercept) / slope));
  const pixels = signed ? Int16Array.from(stored) : Uint16Array.from(stored);
  for (let i = 0; i < SIZE; i++) pixels[i] = signed ? -2000 : 0;
  return encodeCtFile({
    patientId: "P1",
    studyUid: "1.2.3",
    seriesUid: "1.2.4",
    frameOfReferenceUid: "1.2.5",
    sopInstance: "1.2.6",
    instanceNumber: 7,
    rows: SIZE,
    columns: SIZE,
    position: [-120, -130, 44.5],
    pixelSpacing: [MM, MM],
    sliceThickness: 2,
    pixels,
    intercept,
    changes: new Map([[0x00281053, [0x00281053, "DS", slope]]]),
  });
}

/** A written DICOM slice; readOneSlice would say that it is none of a scanner. */
async function writtenDicom(path: string) {
  const parsed = readWhole(path), values = await decodePixels(parsed);
  const { slope, intercept, pixelSpacing, position, row, column } = parsed.header;
  await assert.rejects(readOneSlice(path), /a secondary image/);
  return {
    ...{ position, row, column },
    spacing: pixelSpacing,
    hu: Float32Array.from(values, (v) => v * slope + intercept),
    stored: { values, slope, intercept },
  };
}

Deno.test("nodules at a slice's own size, byte-equal outside, by a model of patches", async (t) => {
  const folder = await Deno.makeTempDir(), to = (name: string) => join(folder, name);
  const config = to("tiny.json"), model = to("run"), whole = to("whole");
  await Deno.writeTextFile(config, JSON.stringify(TINY));
  const training = ["--config", config, "--steps", "2", "--no-tune"];
  await good("train", ...training, "--crop", "16", "--spacing", "2.5", "--out", model);
  await good("train", ...training, "--resolution", "32", "--out", whole);
  const { ct, lungMask } = phantomSlice(3, 5, 4, SIZE);
  const isDeep = (i: number) => [-9, 9].every((d) => lungMask[i + d] && lungMask[i + d * SIZE]);
  const at = lungMask.findIndex((v, i) => v > 0 && i % SIZE < 70 && i > 60 * SIZE && isDeep(i));
  const far = lungMask.findLastIndex((v, i) => v > 0 && i % SIZE > 100 && isDeep(i));
  const place = (i: number, mm: number) => `${i % SIZE},${Math.floor(i / SIZE)},${mm}`;
  const hu = Float32Array.from(ct, Math.round);
  const sample = (out: string, run: string, ...args: string[]) =>
    good("sample", "--run", run, "--steps", "2", "--no-tune", "--out", to(out), ...args);
  /** How many pixels differ; none may outside the mask grown by `mm`, which has the asked-for area. */
  const check = (
    got: ArrayLike<number>,
    was: ArrayLike<number>,
    mask: ArrayLike<number>,
    mm: number,
  ) => {
    const inside = Array.from(mask).flatMap((v, i) => v ? [[i % SIZE, Math.floor(i / SIZE)]] : []);
    const isNear = (i: number) =>
      inside.some(([x, y]) => Math.hypot(x - i % SIZE, y - Math.floor(i / SIZE)) <= mm / MM + 1e-9);
    let changed = 0;
    for (let i = 0; i < was.length; i++) {
      if (got[i] === was[i]) continue;
      changed++;
      assert.ok(isNear(i), `pixel ${i} is ${got[i]}, was ${was[i]}`);
    }
    return changed;
  };

  for (
    const [name, slope, intercept, signed] of [
      ["signed", 1, 0, true],
      ["unsigned", 2, -1024.5, false],
    ] as const
  ) {
    await t.step(
      `DICOM, ${name} values: HU and stored values stay, the mask lies beside`,
      async () => {
        const file = to(`${name}.dcm`);
        await Deno.writeFile(file, dicomOf(hu, slope, intercept, signed));
        const was = await readOneSlice(file);
        assert.equal(was.hu[0], signed ? -2000 : -1024.5);
        const out = await sample(
          name,
          model,
          "--inpaint",
          file,
          "--nodule",
          place(at, 14),
          "--count",
          "2",
        );
        assert.match(out, /outside the region .*: data of its patient/);
        for (const n of [0, 1]) {
          const made = await writtenDicom(to(`${name}/INP1-0_slice_${n}.dcm`));
          const exact = await values(to(`${name}/nodules_exact/INP1-0_nodule_exact_${n}.npy`));
          const changed = check(made.hu, was.hu, exact, 2.5);
          assert.ok(changed > area(exact) / 2, `${changed} of ${area(exact)}`);
          const mm2 = area(exact) * MM * MM;
          assert.ok(Math.abs(mm2 / (Math.PI * 49) - 1) < 0.2, `${mm2} mm²`);
          for (const key of ["spacing", "position", "row", "column"] as const) {
            assert.deepEqual(made[key], was[key], key);
          }
          const { values: stored, ...scale } = made.stored;
          assert.deepEqual(scale, { slope, intercept });
          stored.forEach((v, i) =>
            made.hu[i] === was.hu[i] && assert.equal(v, was.stored!.values[i])
          );
          // The same numbers as .npy, but for what the model made, which DICOM rounds.
          const npy = await values(to(`${name}/INP1-0_slice_${n}.npy`));
          const least = signed ? -32768 : intercept; // what unsigned values can hold
          npy.forEach((v, i) =>
            assert.ok(Math.abs(Math.max(least, v) - made.hu[i]) <= slope / 2 + 1e-3)
          );
          const text = new TextDecoder("latin1").decode(
            await Deno.readFile(to(`${name}/INP1-0_slice_${n}.dcm`)),
          );
          assert.match(text, /SYNTHETIC IN PART/);
          assert.doesNotMatch(text, /NOT A PATIENT|shows no person|nominal/);
        }
        const mask = await readOneSlice(to(`${name}/nodules_exact/INP1-0_nodule_exact_0.nii.gz`));
        assert.ok(
          mask.position!.every((v, i) => Math.abs(v - was.position![i]) < 1e-3),
          "SEG-ready",
        );
        assert.ok(mask.spacing!.every((v) => Math.abs(v - MM) < 1e-5));
      },
    );
  }

  await t.step(
    "NIfTI of several slices: one is named, its place is kept; two nodules far apart",
    async () => {
      const file = to("slice.nii.gz");
      await Deno.writeFile(
        file,
        encodeNifti({
          rows: SIZE,
          columns: SIZE,
          values: hu,
          pixelSpacing: [MM, MM],
          thickness: 2,
          origin: [-100, -90, 12],
          description: "",
        }),
      );
      const two = ["--nodule", place(at, 12), "--nodule", place(far, 15)];
      await sample("two", model, "--inpaint", file, "--count", "1", ...two);
      const made = await readOneSlice(to("two/INP1-0_slice_0.nii.gz"));
      const exact = await values(to("two/nodules_exact/INP1-0_nodule_exact_0.npy"));
      assert.ok(check(made.hu, hu, exact, 2.5) > area(exact) / 2);
      assert.ok(exact[at] && exact[far], "a nodule at both places");
      assert.ok(made.hu[at] !== hu[at] && made.hu[far] !== hu[far]);
      assert.deepEqual(made.position!.map(Math.round), [-100, -90, 12]);
    },
  );

  await t.step("a model of whole slices: pasted back at the slice's size", async () => {
    await writeNpy(to("A_slice_1.npy"), [SIZE, SIZE], hu);
    await writeNpy(to("A_lung_mask_1.npy"), [SIZE, SIZE], lungMask);
    const nodule = ["--nodule", place(at, 36), "--count", "1"];
    const out = await sample("big", whole, "--inpaint", to("A_slice_1.npy"), ...nodule);
    assert.match(out, /does not say its pixel spacing: 350 mm across are assumed/);
    const made = await values(to("big/INP1-0_slice_0.npy"));
    const exact = await values(to("big/nodules_exact/INP1-0_nodule_exact_0.npy"));
    assert.equal(made.length, SIZE * SIZE);
    assert.ok(check(made, hu, exact, 350 / 32) > area(exact) / 2);
  });

  await t.step("refusals: one line that says why, nothing written", async () => {
    const file = to("A_slice_1.npy"), volume = to("B.npy");
    await writeNpy(volume, [3, SIZE, SIZE], new Float32Array(3 * SIZE * SIZE));
    const wall = lungMask.indexOf(1) - 8 * SIZE;
    const cases: [string, string[], RegExp][] = [
      [whole, ["--nodule", place(at, 8)], /0\.\d of the model's pixels of 10\.9 mm, under 3/],
      [model, ["--nodule", place(wall, 12)], /% of it lies in the lung, at least 60% must/],
      [model, ["--nodule", "900,5,12"], /the slice has pixels 0 to 159/],
      [model, ["--nodule", place(at, 38)], /mm wide, the model's patches are 40\.0 mm/],
      [model, ["--nodule", place(at, 12), "--class", "0"], /--nodule is of class 1/],
      [model, ["--nodules", "random"], /--nodules: with --inpaint say where/],
      [
        model,
        ["--nodule", place(at, 12), "--slice", "3", "--inpaint", volume],
        /give --slice 0 to 2/,
      ],
    ];
    for (const [run_, args, message] of cases) {
      const inpaint = args.includes("--inpaint") ? [] : ["--inpaint", file];
      const out = to("refused"), flags = ["--run", run_, "--no-tune", "--out", out];
      const { code, err } = await run("sample", ...flags, ...inpaint, ...args);
      assert.equal(code, 2, `${args}: ${err}`);
      assert.match(err, message);
      assert.throws(() => Deno.statSync(out), Deno.errors.NotFound);
    }
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("around a nodule the model's share falls from 1 to 0 without a step; a drawn region is all its own", () => {
  const window = { x: 0, y: 0, height: 31, width: 31 };
  const disc = (radius: number) =>
    Uint8Array.from(
      { length: 961 },
      (_, i) => Math.hypot(i % 31 - 15, Math.floor(i / 31) - 15) <= radius ? 1 : 0,
    );
  const share = shareOf({ window, region: disc(10), nodules: disc(5) });
  const row = Array.from(share.subarray(15 * 31 + 15, 16 * 31));
  assert.deepEqual(row.slice(0, 6), Array(6).fill(1));
  row.slice(5, 12).forEach((v, i, all) =>
    assert.ok(i === 0 || (v < all[i - 1] && v > all[i - 1] - 0.25))
  );
  assert.ok(row.slice(11).every((v) => v === 0));
  const drawn = disc(10);
  assert.deepEqual(shareOf({ window, region: drawn, nodules: drawn }), Float32Array.from(drawn));
});

Deno.test("one slice of any file: exactly the numbers that are in it", async () => {
  const dir = await Deno.makeTempDir();
  const of = (slice: OneSlice) => [slice.kind, slice.height, slice.width, ...slice.hu];
  await writeNpy(join(dir, "a.npy"), [3, 1, 2], Float32Array.of(1, 2, 3.25, -4, 5, 6));
  assert.deepEqual(of(await readOneSlice(join(dir, "a.npy"))), ["npy", 1, 2, 3.25, -4]);
  assert.deepEqual(of(await readOneSlice(join(dir, "a.npy"), 0)), ["npy", 1, 2, 1, 2]);
  await writeNpy(join(dir, "b.npy"), [1, 2], Float32Array.of(1, NaN));
  await assert.rejects(readOneSlice(join(dir, "b.npy")), /NaN at row 0, column 1/);
  await Deno.writeFile(
    join(dir, "c.nii.gz"),
    encodeNifti({
      rows: 1,
      columns: 2,
      values: Float32Array.of(1.5, -7),
      pixelSpacing: [0.5, 0.25],
      thickness: 1,
      description: "",
    }),
  );
  const slice = await readOneSlice(join(dir, "c.nii.gz"));
  assert.deepEqual(of(slice), ["volume", 1, 2, 2, -7]);
  assert.deepEqual(slice.spacing, [0.5, 0.25]);
  assert.match(slice.notes[0], /1 of its values are no whole numbers/, "rounding is told");
  await Deno.remove(dir, { recursive: true });
});
