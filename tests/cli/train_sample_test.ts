/** train and sample as a user runs them, with a tiny model; and what they say to wrong input. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openGpu } from "../../lib/gpu/device.ts";
import { decodePng } from "../../lib/io/png.ts";
import { readNpy, writeNpy } from "../../lib/io/npy_file.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const TINY = {
  train_batch_size: 2,
  phantom_slices: 8,
  eval_pairs: 1,
  ddpm_num_inference_steps: 3,
  save_images_epochs: 2,
  unet: {
    block_out_channels: [4, 8],
    norm_num_groups: 4,
    attention_head_dim: 4,
    down_block_types: ["DownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "UpBlock2D"],
  },
};

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(script: string, ...args: string[]): Promise<Outcome> {
  const command = new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-env=INIT_CWD",
      join(ROOT, "scripts", `${script}.ts`),
      ...args,
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map((e) => e.name).sort();

Deno.test("train, then sample twice: files, pictures, the same bytes for the same seed", () =>
  withFolder(async (folder) => {
    const config = join(folder, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    const out = join(folder, "run");
    const flags = ["--config", config, "--resolution", "16", "--out", out];
    const trained = await run("train", ...flags, "--steps", "12");
    assert.equal(trained.code, 0, trained.stderr);
    assert.match(trained.stdout, /peak GPU memory of a training step [\d.]+ MiB/);

    const rows = (await Deno.readTextFile(join(out, "metrics.csv"))).trim().split("\n");
    assert.match(rows[0], /^step,epoch,loss,/);
    const losses = rows.slice(1).map((r) => Number(r.split(",")[2]));
    assert.ok(losses.length >= 2 && losses.every((l) => l > 0 && l < 3), rows.join("\n"));
    const latest = join(out, "checkpoints", "step-00000012");
    const parts = names(latest);
    for (const part of ["optimizer.safetensors", "scheduler", "state.json", "unet", "unet_ema"]) {
      assert.ok(parts.includes(part), `${part} among ${parts}`);
    }
    const card = await Deno.readTextFile(join(latest, "README.md"));
    assert.match(card, /research only/);
    assert.match(card, /The built-in phantom: no patients\. \d+ training slices/);
    assert.ok(!card.includes(folder), "no path");
    const hashes = [...card.matchAll(/^\| (\S+) \| `([0-9a-f]{64})` \|$/gm)];
    assert.equal(hashes.length, 6);
    for (const [, file, hash] of hashes) {
      const bytes = await Deno.readFile(join(latest, file));
      assert.equal(createHash("sha256").update(bytes).digest("hex"), hash, file);
    }
    const picture = names(join(out, "samples")).at(-1)!;
    const png = decodePng(await Deno.readFile(join(out, "samples", picture)), picture);
    assert.ok(png.width > 100 && png.height > 100);

    const again = await run("train", ...flags, "--steps", "12");
    assert.equal(again.code, 2);
    assert.match(again.stderr, /holds a run already/);

    const samples: Uint8Array[] = [];
    for (const name of ["a", "b"]) {
      const to = join(folder, name);
      const options = ["--steps", "4", "--count", "2", "--seed", "3", "--out", to];
      const sampled = await run("sample", "--run", out, ...options);
      assert.equal(sampled.code, 0, sampled.stderr);
      const slice = names(to).find((n) => n.includes("_slice_"))!;
      const hu = await readNpy(join(to, slice));
      assert.deepEqual(hu.shape, [16, 16]);
      const values = [...hu.data as Float32Array];
      assert.ok(Math.min(...values) >= -1350 && Math.max(...values) <= 150, "in the HU window");
      samples.push(await Deno.readFile(join(to, slice)));
    }
    assert.deepEqual(samples[0], samples[1]);
  }));

Deno.test("f16: kept with the run, resumed with it; images of f32, on a GPU nearly those", () =>
  withFolder(async (folder) => {
    const config = join(folder, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    const out = join(folder, "run");
    const flags = ["--config", config, "--resolution", "16", "--precision", "f16", "--out", out];
    const trained = await run("train", ...flags, "--steps", "3");
    assert.equal(trained.code, 0, trained.stderr);
    assert.match(trained.stdout, /batch 2×1, f16; peak GPU memory/);
    assert.equal(JSON.parse(await Deno.readTextFile(join(out, "config.json"))).precision, "f16");
    const resumed = await run("train", "--resume", "--out", out, "--steps", "5");
    assert.equal(resumed.code, 0, resumed.stderr);
    const state = await Deno.readTextFile(join(out, "checkpoints", "step-00000005", "state.json"));
    assert.deepEqual(JSON.parse(state).lossScale, {
      scale: 65536,
      growthTracker: 5,
      skipped: 0,
      taken: 5,
    });
    const images: number[][] = [];
    for (const precision of ["f32", "f16"]) {
      const to = join(folder, precision);
      const options = ["--steps", "3", "--count", "1", "--precision", precision, "--out", to];
      const sampled = await run("sample", "--run", out, ...options);
      assert.equal(sampled.code, 0, sampled.stderr);
      const slice = names(to).find((n) => n.includes("_slice_"))!;
      images.push([...(await readNpy(join(to, slice))).data as Float32Array]);
    }
    const gaps = images[0].map((v, i) => Math.abs(v - images[1][i]));
    const most = Math.max(...gaps);
    const gpu = await openGpu();
    gpu.destroy();
    assert.ok(gpu.profile.software ? most === 0 : most > 0 && most < 15, `${most} HU`); // 1% of the window
    const wrong = await run("train", ...flags.with(5, "f64"));
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /--precision.*f64.*f32, f16/);
  }));

/** A data folder in the .npy layout with two good slices, one of each class. */
async function makeData(folder: string, change: (set: SliceFiles) => void = () => {}) {
  for (const [i, patient] of ["A", "B"].entries()) {
    const nodule = new Uint8Array(64 * 64);
    if (i === 0) nodule.fill(1, 0, 40);
    const set: SliceFiles = {
      ct: new Float32Array(64 * 64).fill(-800),
      lung: new Uint8Array(64 * 64).fill(1),
      lungShape: [64, 64],
      nodule,
    };
    change(set);
    await writeNpy(join(folder, `${patient}_slice_1.npy`), [64, 64], set.ct);
    await writeNpy(join(folder, `${patient}_lung_mask_1.npy`), set.lungShape, set.lung);
    await writeNpy(join(folder, `${patient}_nodule_mask_1.npy`), [64, 64], set.nodule);
  }
}

interface SliceFiles {
  ct: Float32Array;
  lung: Uint8Array;
  lungShape: number[];
  nodule: Uint8Array;
}

/** Exit code 2, one line that matches, nothing written. */
function refused(outcome: Outcome, message: RegExp, out: string): void {
  assert.equal(outcome.code, 2, outcome.stderr + outcome.stdout);
  const errors = outcome.stderr.trim().split("\n").filter((l) => l.startsWith("error: "));
  assert.equal(errors.length, 1, outcome.stderr);
  assert.match(errors[0], message);
  assert.doesNotMatch(outcome.stderr, /^\s+at /m);
  assert.throws(() => Deno.statSync(out), Deno.errors.NotFound, "nothing is written");
}

Deno.test("wrong data: one line with file and reason, exit code 2, nothing written", () =>
  withFolder(async (folder) => {
    const config = join(folder, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    const out = join(folder, "run");
    const train = (data: string) =>
      run("train", "--config", config, "--resolution", "16", "--data", data, "--out", out);

    const withNaN = join(folder, "nan");
    await Deno.mkdir(withNaN);
    await makeData(withNaN, (set) => set.ct[100] = NaN);
    refused(await train(withNaN), /A_slice_1\.npy.*NaN/, out);

    const wrongShape = join(folder, "shape");
    await Deno.mkdir(wrongShape);
    await makeData(wrongShape, (set) => {
      set.lungShape = [32, 64];
      set.lung = new Uint8Array(32 * 64);
    });
    refused(await train(wrongShape), /lung_mask_1\.npy.*32.*64/, out);

    refused(await train(join(folder, "nowhere")), /nowhere.*no such/, out);
  }));

Deno.test("wrong settings: one line, exit code 2, nothing written", () =>
  withFolder(async (folder) => {
    const out = join(folder, "out");
    const config = join(folder, "bad.json");
    const train = (...args: string[]) => run("train", "--out", out, ...args);
    refused(await train("--resolution", "30"), /resolution 30×30.*multiples of 4/, out);
    await Deno.writeTextFile(config, JSON.stringify({ learning_rat: 1 }));
    refused(await train("--config", config), /bad\.json: unknown.*"learning_rat"/, out);
    await Deno.writeTextFile(config, JSON.stringify({ unet: { act_fn: "gelu" } }));
    refused(await train("--config", config), /bad\.json.*act_fn/, out);
    const unknown = await train("--no-such-flag");
    assert.equal(unknown.code, 2, "unknown flags are wrong use");

    const model = join(folder, "model");
    const tiny = join(ROOT, "tests", "fixtures", "diffusers_tiny");
    await Deno.mkdir(model);
    await Deno.copyFile(join(tiny, "config.json"), join(model, "config.json"));
    const weights = join(model, "diffusion_pytorch_model.safetensors");
    await Deno.copyFile(join(tiny, "diffusion_pytorch_model.safetensors"), weights);
    await Deno.truncate(weights, 1000);
    refused(
      await run("sample", "--model", model, "--out", out),
      /diffusion_pytorch_model\.safetensors/,
      out,
    );
    refused(
      await run("sample", "--run", join(folder, "none"), "--out", out),
      /no training run/,
      out,
    );
  }));
