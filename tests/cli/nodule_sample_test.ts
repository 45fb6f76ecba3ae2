/** `sample` of models that are told where nodules are, and of models that are not. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spacingOf } from "../../lib/data/geometry.ts";
import { openFolder } from "../../lib/data/open_folder.ts";
import { parseNifti } from "../../lib/data/nifti.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TINY = {
  train_batch_size: 2,
  phantom_slices: 8,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  unet: {
    block_out_channels: [4, 8],
    norm_num_groups: 4,
    attention_head_dim: 4,
    down_block_types: ["DownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "UpBlock2D"],
  },
};

async function run(script: string, ...args: string[]) {
  const permissions = ["--allow-read", "--allow-write", "--allow-env=INIT_CWD"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--no-check", ...permissions, `${ROOT}scripts/${script}.ts`]
      .concat(args),
    cwd: ROOT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

Deno.test("sample --nodule: told where, each image has its mask; what does not fit is refused", () =>
  withFolder(async (root) => {
    const config = join(root, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    const train = ["--config", config, "--resolution", "16", "--steps", "1"];
    for (const condition of ["nodule-mask", "class"]) {
      const more = ["--condition", condition, "--out", join(root, condition)];
      const { code, error } = await run("train", ...train, ...more);
      assert.equal(code, 0, error);
    }
    const model = join(root, "nodule-mask");
    const sample = (...args: string[]) => run("sample", "--run", model, "--steps", "2", ...args);
    const made = join(root, "made");
    const good = await sample(
      ...["--nodules", "random:2", "--diameter", "8-12", "--count", "2", "--format", "npy,nifti"],
      ...["--seed", "3", "--out", made],
    );
    assert.equal(good.code, 0, good.error);
    const list = await Deno.readTextFile(join(made, "images.csv"));
    assert.match(list, /^slice,class,seed,noise,lung_mask_of,nodules$/m);
    assert.match(list, /^GEN1-3_slice_\d+,1,3,\d+,\w+,"[\d.]+,[\d.]+,[\d.]+ \w+; [^;"]+"$/m);
    assert.match(list, /^GEN0-3_slice_\d+,0,3,\d+,\w+,$/m);
    const exact = [...Deno.readDirSync(join(made, "nodules_exact"))].map(({ name }) => name).sort();
    assert.equal(exact.length, 2 * 3, "npy, png and nii.gz of each image with nodules");
    assert.ok(exact.every((name) => name.startsWith("GEN1-3_nodule_exact_")));
    const npy = exact.find((name) => name.endsWith(".npy"))!;
    const { shape, data } = await readNpy(join(made, "nodules_exact", npy));
    assert.deepEqual(shape, [32, 32], "the phantom's slices, twice the model's size");
    // The same field of view, so that mask and image lie on each other in millimetres.
    const spacing = async (path: string) => {
      const volume = await parseNifti(await Deno.readFile(path), path);
      return spacingOf(volume).slice(0, 2).map((mm, axis) => mm * volume.size[axis]);
    };
    const number = /_(\d+)\.npy$/.exec(npy)![1];
    const image = await spacing(join(made, `GEN1-3_slice_${number}.nii.gz`));
    const mask = await spacing(join(made, "nodules_exact", npy.replace(".npy", ".nii.gz")));
    image.forEach((mm, i) => assert.ok(Math.abs(mm - mask[i]) < 1e-3));
    // At the model's size: where the exact mask covers most, never nothing.
    const small = await readNpy(join(made, `GEN1-3_nodule_mask_${number}.npy`));
    assert.deepEqual(small.shape, [16, 16]);
    const covered = (i: number) => {
      const [x, y] = [i % 16 * 2, Math.floor(i / 16) * 2];
      return [0, 1, 32, 33].reduce((sum, d) => sum + Number(data[y * 32 + x + d]), 0);
    };
    const pixels = [...small.data].flatMap((v, i) => v ? [i] : []);
    assert.ok(pixels.length > 0 && pixels.every((i) => covered(i) > 0));

    // As a data set: the label is what was asked for, however few pixels the nodule has.
    const set = join(root, "set");
    const phantom = ["--out", join(root, "phantom"), "--patients", "1", "--size", "96"];
    assert.equal((await run("phantom", ...phantom)).code, 0);
    const own = ["--data", join(root, "phantom"), "--per-mask", "1", "--class", "own"];
    const again = await sample(...own, "--nodules", "own", "--out", set);
    assert.equal(again.code, 0, again.error);
    const { train: slices } = await openFolder(set);
    const labels = slices.map(({ label }) => label);
    assert.deepEqual(labels.filter((l) => l === 1).length, labels.length / 2);
    for (const slice of slices.filter(({ label }) => label === 1)) {
      assert.ok((await slice.load()).noduleMask.includes(1));
    }

    const refused = async (why: RegExp, ...args: string[]) => {
      const out = join(root, "refused");
      const { code, error } = await sample("--out", out, ...args);
      assert.equal(code, 2, error);
      assert.match(error, why);
      await assert.rejects(Deno.stat(out), Deno.errors.NotFound);
    };
    await refused(/% of it lies in the lung|has pixels 0 to 31/, "--nodule", "1,1,8");
    await refused(/--nodule 900,1,8: .*pixels 0 to/, "--nodule", "900,1,8");
    await refused(/exclude each other/, "--nodule", "9,9,8", "--nodules", "own");
    await refused(/--class 0\.5: .*0 or 1/, "--class", "0.5");
    await refused(/--class-from/, "--class-from", "0", "--class-to", "1");
    await refused(/no room/, "--nodules", "random:90", "--diameter", "30-40");
    for (const args of [["--nodule", "9,9,8"], ["--nodules", "own"]]) {
      const other = ["--run", join(root, "class"), "--out", join(root, "refused")];
      const { code, error } = await run("sample", ...other, ...args);
      assert.equal(code, 2);
      assert.match(error, /trained with the class alone.*--condition nodule-mask/);
    }
  }));
