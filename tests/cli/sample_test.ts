/** `sample` as a user runs it: shards, formats, data sets that train, inpainting, refusals. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sha256 } from "../../lib/plan/hash.ts";
import { openNpyDataset } from "../../lib/data/npy_dataset.ts";
import { parseNifti } from "../../lib/data/nifti.ts";
import { readNpy, writeNpy } from "../../lib/io/npy_file.ts";
import { decodePng, encodePng } from "../../lib/io/png.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SIZE = 16;

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

const names = (folder: string) => [...Deno.readDirSync(folder)].map((e) => e.name).sort();

const TINY = {
  train_batch_size: 2,
  condition: "class",
  cfg_scale: 2,
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

/** Slices of three patients, 24 × 24, two of them in `val`. */
async function makeData(folder: string): Promise<void> {
  for (const [i, patient] of ["A", "B", "C"].entries()) {
    for (const n of [1, 2]) {
      const plane = (f: (x: number, y: number) => number) =>
        Array.from({ length: 576 }, (_, p) => f(p % 24, Math.floor(p / 24)));
      const path = (kind: string) => join(folder, `${patient}_${kind}_${n}.npy`);
      const lung = plane((x, y) => (x - 12) ** 2 + (y - 12) ** 2 < 60 + 10 * i ? 1 : 0);
      const nodule = plane((x, y) => n === 1 && x > 9 && x < 14 && y > 9 && y < 14 ? 1 : 0);
      const hu = lung.map((v, p) => nodule[p] ? 20 : v ? -850 : 40 + p % 7);
      await writeNpy(path("slice"), [24, 24], Float32Array.from(hu));
      await writeNpy(path("lung_mask"), [24, 24], Uint8Array.from(lung));
      await writeNpy(path("nodule_mask"), [24, 24], Uint8Array.from(nodule));
    }
  }
  await Deno.writeTextFile(join(folder, "train_patients.txt"), "A\n");
  await Deno.writeTextFile(join(folder, "val_patients.txt"), "B\nC\n");
}

Deno.test("sample in all its modes, from a tiny model", async (t) => {
  const folder = await Deno.makeTempDir();
  const config = join(folder, "tiny.json"), model = join(folder, "run");
  const data = join(folder, "data");
  await Deno.writeTextFile(config, JSON.stringify(TINY));
  await Deno.mkdir(data);
  await makeData(data);
  const training = ["--config", config, "--resolution", String(SIZE), "--steps", "2"];
  await good("train", ...training, "--out", model);
  const to = (name: string) => join(folder, name);
  const sample = (name: string, ...args: string[]) =>
    good("sample", "--run", model, "--steps", "3", "--out", to(name), ...args);

  await t.step("shards together are the unsharded run, byte for byte", async () => {
    const flags = ["--count", "3", "--scheduler", "ddpm", "--batch", "4"];
    await sample("whole", ...flags);
    for (const i of [0, 1]) await sample("shards", ...flags, "--shard", `${i}/2`);
    const images = names(to("whole")).filter((n) => n.endsWith(".npy"));
    assert.equal(images.length, 3 * 2 * 3);
    assert.deepEqual(names(to("shards")).filter((n) => n.endsWith(".npy")), images);
    for (const name of images) {
      assert.deepEqual(
        await Deno.readFile(join(to("shards"), name)),
        await Deno.readFile(join(to("whole"), name)),
        name,
      );
    }
    const lists = [0, 1].map((i) =>
      Deno.readTextFileSync(join(to("shards"), `images-${i}-of-2.csv`)).trim().split("\n").slice(1)
    );
    const list = (await Deno.readTextFile(join(to("whole"), "images.csv"))).trim().split("\n");
    assert.deepEqual(lists.flat().sort(), list.slice(1).sort());
  });

  await t.step("a synthetic data set goes back into training", async () => {
    await sample("set", "--data", data, "--split", "val", "--per-mask", "2", "--class", "own");
    const set = await openNpyDataset(to("set"));
    assert.equal(set.train.length, 2 * 2 * 2); // patients, masks, images
    assert.deepEqual([...new Set(set.train.map((r) => r.patient))], ["SYN0001", "SYN0002"]);
    assert.equal(set.train.filter((r) => r.label === 1).length, 4);
    await good("train", ...training, "--data", to("set"), "--out", to("second"));
    const lines = await Deno.readTextFile(join(to("set"), "images.csv"));
    assert.match(lines, /^SYN0001_c1s0_slice_0,1,0,0,B_slice_1,$/m);
  });

  await t.step("every format says the same HU; the sampler's file and the strip", async () => {
    const flags = ["--count", "1", "--class", "1", "--format", "npy,png16,nifti,dicom", "--strip"];
    await sample("formats", ...flags, "--scheduler", "dpm++");
    const path = (end: string) => join(to("formats"), `GEN1-0_slice_0.${end}`);
    const hu = Float32Array.from((await readNpy(path("npy"))).data as Float32Array);
    const png = decodePng(await Deno.readFile(path("png")));
    assert.ok(png.data instanceof Uint16Array);
    assert.deepEqual([...png.data], [...hu].map((v) => Math.max(0, Math.round(v) + 1024)));
    const nifti = await parseNifti(await Deno.readFile(path("nii.gz")), "nii");
    assert.deepEqual([...nifti.values], [...hu].map((v) => Math.round(v)));
    const dicom = await Deno.readFile(path("dcm"));
    const pixels = new Int16Array(dicom.slice(-2 * SIZE * SIZE).buffer);
    assert.deepEqual([...pixels], [...nifti.values]);
    const strip = decodePng(await Deno.readFile(join(to("formats"), "strip.png")));
    assert.ok(strip.width > 8 * SIZE);

    const provenance = await sha256(await Deno.readFile(join(to("run"), "provenance.json")));
    for (const name of ["GEN1-0_slice_0.png", "GEN1-0_slice_0.dcm", "grid.png", "strip.png"]) {
      const bytes = await Deno.readFile(join(to("formats"), name));
      assert.ok(new TextDecoder("latin1").decode(bytes).includes(provenance), name);
    }

    const file = join(to("formats"), "scheduler_config.json");
    assert.match(await Deno.readTextFile(file), /"DPMSolverMultistepScheduler"/);
    await sample("from_file", "--count", "1", "--class", "1", "--scheduler-config", file);
    assert.deepEqual(
      await Deno.readFile(join(to("from_file"), "GEN1-0_slice_0.npy")),
      await Deno.readFile(path("npy")),
    );
  });

  await t.step("guidance flags and interpolation", async () => {
    const one = ["--count", "1", "--class", "1"];
    const read = async (name: string) =>
      (await readNpy(join(to(name), "GEN1-0_slice_0.npy"))).data as Float32Array;
    await sample("plain", ...one, "--cfg", "1");
    await sample("low", ...one, "--cfg-from", "1.5", "--cfg-to", "2");
    assert.deepEqual(await read("low"), await read("plain"), "no step from 1.5 to 2");
    await sample("two", ...one, "--two-passes", "--guidance-rescale", "0.7");
    await sample("path", "--count", "1", "--class-from", "0", "--class-to", "1");
    const slices = names(to("path")).filter((n) => /_slice_0.npy$/.test(n));
    assert.deepEqual(slices, ["0", "0.25", "0.5", "0.75", "1"].map((c) => `GEN${c}-0_slice_0.npy`));
    await sample(
      "way",
      "--count",
      "1",
      "--class-from",
      "0",
      "--class-to",
      "1",
      "--class-over",
      "steps",
    );
    assert.notDeepEqual(await read("way"), await read("path"));
  });

  await t.step("inpainting keeps the slice to the last bit outside the region", async () => {
    const slice = join(data, "A_slice_2.npy");
    await sample("inpaint", "--inpaint", slice, "--region", "12,12,4", "--count", "2");
    const got = (await readNpy(join(to("inpaint"), "INP1-0_slice_1.npy"))).data as Float32Array;
    const nodule = (await readNpy(join(to("inpaint"), "INP1-0_nodule_mask_1.npy"))).data;
    const own = (await readNpy(slice)).data as Float32Array;
    assert.equal(got.length, 24 * 24, "the slice's own size, not the model's");
    const isIn = (i: number) => (i % 24 - 12) ** 2 + (Math.floor(i / 24) - 12) ** 2 <= 16;
    assert.deepEqual([...nodule as Uint8Array], Array.from(own, (_, i) => isIn(i) ? 1 : 0));
    let changed = 0;
    own.forEach((v, i) => isIn(i) ? changed += v === got[i] ? 0 : 1 : assert.equal(got[i], v));
    assert.ok(changed > 40, `${changed}`);

    const mask = join(folder, "region.png");
    const white = Uint8Array.from(
      { length: 576 },
      (_, i) => i % 24 > 8 && i % 24 < 14 && i > 240 && i < 360 ? 255 : 0,
    );
    await Deno.writeFile(mask, encodePng({ width: 24, height: 24, channels: 1, data: white }));
    await sample("drawn", "--inpaint", slice, "--region", mask, "--count", "1", "--class", "0");
    const made = (await readNpy(join(to("drawn"), "INP0-0_slice_0.npy"))).data as Float32Array;
    const left = (await readNpy(join(to("drawn"), "INP0-0_nodule_mask_0.npy"))).data as Uint8Array;
    assert.equal(left.filter((v) => v).length, 0);
    changed = 0;
    own.forEach((v, i) => white[i] ? changed += v === made[i] ? 0 : 1 : assert.equal(made[i], v));
    assert.ok(changed > 15, `${changed}`);
  });

  await t.step("wrong use: one line, exit code 2, nothing written", async () => {
    const refused = async (message: RegExp, ...args: string[]) => {
      const out = join(folder, "refused");
      const { code, err } = await run("sample", "--run", model, "--out", out, ...args);
      assert.equal(code, 2, err);
      const lines = err.trim().split("\n").filter((l) => l.startsWith("error: "));
      assert.equal(lines.length, 1, err);
      assert.match(lines[0], message);
      assert.throws(() => Deno.statSync(out), Deno.errors.NotFound);
    };
    const slice = join(data, "A_slice_1.npy");
    const file = join(folder, "scheduler.json");
    const scheduler = { _class_name: "DDIMScheduler", prediction_type: "sample" };
    await Deno.writeTextFile(file, JSON.stringify(scheduler));
    await refused(
      /scheduler\.json: prediction_type is "sample".*"v_prediction"/,
      "--scheduler-config",
      file,
    );
    await refused(/--format jpeg/, "--format", "jpeg");
    await refused(/--shard 3\/3/, "--shard", "3/3");
    await refused(/--per-mask needs --data/, "--per-mask", "2");
    await refused(/belong together/, "--inpaint", slice);
    await refused(/--region 99,1,2/, "--inpaint", slice, "--region", "99,1,2");
    await refused(
      /12,12,1: 2\.2 of the model's pixels.*under 3/,
      "--inpaint",
      slice,
      "--region",
      "12,12,1",
    );
    await refused(/3,3,3: \d+% of it lies in the lung/, "--inpaint", slice, "--region", "3,3,3");
    await refused(/trained with the class alone/, "--inpaint", slice, "--nodule", "9,9,9");
    await refused(/--class 7/, "--class", "7");
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("what cannot be sampled is refused before the first step, and says why", async () => {
  const folder = await Deno.makeTempDir(), out = join(folder, "out");
  const forms = join(ROOT, "tests/fixtures/weight_forms"), model = join(folder, "model");
  await Deno.mkdir(model);
  for (const name of ["config.json", "diffusion_pytorch_model.safetensors"]) {
    await Deno.copyFile(join(forms, "whole", name), join(model, name));
  }
  const write = async (name: string, config: Record<string, unknown>) => {
    const path = join(folder, name);
    await Deno.writeTextFile(path, JSON.stringify(config));
    return path;
  };
  const offset = await write("offset.json", { _class_name: "DDIMScheduler", steps_offset: 1 });
  const shrinking = await write("shrinking.json", {
    _class_name: "DDIMScheduler",
    beta_start: 0.5,
  });
  const cases: [string[], RegExp][] = [
    [["--cfg", "-3"], /--cfg.*0 to 100/],
    [["--cfg", "1e30"], /--cfg.*0 to 100/],
    [["--class-from", "0", "--class-to", "7"], /--class-to.*-1 to 1/],
    [["--scheduler", "dpm++", "--steps", "1000"], /timestep 500 twice; at most 999 steps/],
    [["--scheduler-config", offset, "--steps", "1000"], /timestep 1000, past the end/],
    [["--scheduler-config", shrinking], /shrinking\.json: beta_start is 0\.5, above beta_end/],
    [["--steps", "1001"], /1001.*from 1 to 1000/],
    [["--checkpoint", "7"], /--checkpoint 7 is of a --run/],
    [["--no-ema"], /--no-ema chooses between/],
    // What would change nothing beside the others.
    [["--cfg", "1", "--two-passes"], /--two-passes: guidance is off/],
    [["--cfg", "1", "--cfg-from", "0.2"], /--cfg-from: guidance is off/],
    [["--cfg-to", "2000"], /--cfg-to 2000: the model has 1000 timesteps/],
    [["--scheduler", "ddpm", "--eta", "1"], /--eta: only DDIM/],
    [["--class-over", "steps"], /--class-over: goes with --class-from/],
    [["--resample", "2"], /--resample: goes with --inpaint/],
    [["--field-mm", "300"], /--field-mm: goes with --format nifti or dicom/],
    [["--diameter", "6-9"], /--diameter: of nodules at random places/],
  ];
  await Promise.all(cases.map(async ([args, message]) => {
    const { code, err } = await run("sample", "--model", model, "--out", out, ...args);
    assert.equal(code, 2, `${args}: ${err}`);
    assert.match(err, message);
  }));
  for (
    const [script, ...args] of [
      ["samplers", "--model", model, "--cfg", "-3"],
      ["samplers", "--model", model, "--limit", "7"],
      ["evaluate", "--run", model, "--cfg", "1,-3"],
    ]
  ) {
    const { code, err } = await run(script, ...args);
    assert.equal(code, 2, err);
    assert.match(err, /--cfg.*100|--limit 7|--c\w+: goes with --run/);
  }
  assert.deepEqual(names(folder), ["model", "offset.json", "shrinking.json"]);

  // A pipeline in one folder is sampled as it was trained; what a file's class has not is noted.
  const trained = {
    _class_name: "DDPMScheduler",
    prediction_type: "v_prediction",
    _null_class: -1,
  };
  await write("model/scheduler_config.json", trained);
  const solver = await write("dpm.json", {
    _class_name: "DPMSolverMultistepScheduler",
    clip_sample: true,
  });
  const images = async (config: string) => {
    const args = [
      "--scheduler-config",
      config,
      "--steps",
      "2",
      "--count",
      "1",
      "--out",
      out,
      "--no-tune",
    ];
    return await good("sample", "--model", model, ...args);
  };
  const said = await images(solver);
  assert.match(
    said,
    /note: .*dpm\.json: clip_sample ignored: DPMSolverMultistepScheduler has no such/,
  );
  assert.doesNotMatch(said, /ε-prediction/);
  const written = JSON.parse(await Deno.readTextFile(join(out, "scheduler_config.json")));
  assert.deepEqual(
    [written.prediction_type, written._null_class, "clip_sample" in written],
    ["v_prediction", -1, false],
  );
  const slice = (await readNpy(join(out, "GEN1-0_slice_0.npy"))).data;
  await images(await write("plain.json", { _class_name: "DPMSolverMultistepScheduler" }));
  assert.deepEqual((await readNpy(join(out, "GEN1-0_slice_0.npy"))).data, slice);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a flipped bit in a run's weights: sample, samplers, evaluate and browser name the file", async () => {
  const folder = await Deno.makeTempDir(), at = join(folder, "run");
  const config = join(folder, "config.json");
  await Deno.writeTextFile(config, JSON.stringify({ ...TINY, max_train_steps: 1 }));
  await good(
    "train",
    "--config",
    config,
    "--resolution",
    "16",
    "--out",
    at,
  );
  const [step] = names(join(at, "checkpoints")).filter((name) => name.startsWith("step-"));
  const weights = join(at, "checkpoints", step, "unet_ema", "diffusion_pytorch_model.safetensors");
  // Settings come before slices: the data need not be there to see that they are wrong.
  const early = await run(
    "evaluate",
    "--run",
    at,
    "--steps",
    "1001",
    "--data",
    join(folder, "none"),
  );
  assert.match(early.err, /sampling steps 1001 .*from 1 to 1000/);
  const bytes = await Deno.readFile(weights);
  bytes[bytes.length - 5] ^= 1;
  await Deno.writeFile(weights, bytes);
  const model = join(at, "checkpoints", step);
  const commands = [
    ["sample", "--run", at, "--out", join(folder, "out")],
    ["sample", "--model", model, "--out", join(folder, "out")],
    ["samplers", "--run", at, "--out", join(folder, "out.png")],
    ["evaluate", "--run", at, "--out", join(folder, "out")],
    ["browser", "--run", at, "--build", join(folder, "out")],
  ];
  for (const [script, ...args] of commands) {
    const { code, err } = await run(script, ...args);
    assert.equal(code, 2, `${script}: ${err}`);
    assert.match(err, /unet_ema\/diffusion_pytorch_model\.safetensors: its SHA-256 is not/);
  }
  assert.deepEqual(names(folder), ["config.json", "run"]);
  await Deno.remove(folder, { recursive: true });
});
