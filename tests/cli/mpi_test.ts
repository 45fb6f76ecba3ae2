/** Two processes with half the batch each are one process with the whole batch. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";
import type { LossScale } from "../../lib/train/loss_scale.ts";
import { relative } from "../../lib/verify/case.ts";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TINY = {
  train_batch_size: 4,
  phantom_slices: 16,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  save_images_epochs: 50,
  max_grad_norm: 1,
  // Two channels a group: a bias before a group norm of one channel has no gradient, see below.
  unet: { norm_num_groups: 2, attention_head_dim: 4 },
};
const STEPS = 20;

async function weights(run: string): Promise<Map<string, Float32Array>> {
  const folder = join(run, "checkpoints", `step-${String(STEPS).padStart(8, "0")}`, "unet");
  const { tensors } = await readSafetensors(join(folder, "diffusion_pytorch_model.safetensors"));
  return new Map([...tensors].map(([name, { data }]) => [name, data as Float32Array]));
}

const hasMpi = async () =>
  (await new Deno.Command("sh", { args: ["-c", "command -v mpirun"] }).output()).code === 0;

/** Runs a script with the permissions of `train:mpi`. @param before as `mpirun -n 2`. */
async function launch(before: string, script: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [
      "-c",
      // As root, in containers, Open MPI asks to be told twice.
      `export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; exec ${before} "$@"`,
      "sh",
      ...["deno", "run", "--no-prompt", "--allow-read", "--allow-write"],
      ...["--allow-env=INIT_CWD", "--allow-ffi=/usr,/opt", script, ...args],
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 0, text(stderr) + text(stdout));
  return text(stdout);
}

const TWO = "mpirun --oversubscribe -n 2";

Deno.test("two processes train to the weights of one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const config = join(folder, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    if (!await hasMpi()) return console.log("skipped: mpirun is not installed");
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    const shape = ["--resolution", "8", "--channels", "4,8", "--steps", String(STEPS)];
    const run = (out: string, before: string) =>
      launch(before, "scripts/train_mpi.ts", ["--config", config, ...shape, "--out", out]);
    await run(one, "");
    const said = await run(two, TWO);
    assert.match(said, /processes: 2/);
    const [a, b] = [await weights(one), await weights(two)];
    for (const [name, values] of a) {
      // Its gradient is zero in exact arithmetic: AdamW makes steps of mere rounding.
      if (name.endsWith("to_k.bias")) continue;
      const other = b.get(name)!;
      const worst = Math.max(...values.map((v, i) => Math.abs(v - other[i])));
      assert.ok(worst <= 1e-5, `${name}: ${worst}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

interface Said {
  readonly own: number[];
  readonly summed: number[];
  readonly skipped: number[];
  readonly counted: number;
  readonly scales: number[];
  readonly lossScale: LossScale;
}

Deno.test("an overflow in one of two processes with f16 is skipped in both", async () => {
  if (!await hasMpi()) return console.log("skipped: mpirun is not installed");
  await withFolder(async (folder) => {
    const steps = 24, bad = 20;
    const member = async (before: string, scale: number) => {
      const args = [folder, scale, steps, 1, bad].map(String);
      await launch(before, "tests/cli/mpi_half_member.ts", args);
    };
    const result = async (rank: number) => {
      const path = join(folder, `rank-${rank}`);
      const said: Said = JSON.parse(await Deno.readTextFile(`${path}.json`));
      return { said, state: (await readSafetensors(`${path}.safetensors`)).tensors };
    };
    // A slice weighs double in the mean of half the batch: from half the scale the bits are alike.
    const scale = 2 ** 30;
    await member(TWO, scale);
    const [a, b] = [await result(0), await result(1)];
    assert.ok(b.said.own.includes(bad) && !a.said.own.includes(bad), "one alone overflows");
    assert.deepEqual({ ...a.said, own: [] }, { ...b.said, own: [] });
    assert.deepEqual(a.state, b.state);

    const { skipped, summed, scales, lossScale } = a.said;
    assert.deepEqual(skipped, summed);
    assert.ok(skipped.length >= 4 && skipped.at(-1) === bad, `skipped: ${skipped}`);
    const skippedBefore = (step: number) => skipped.filter((s) => s < step).length;
    assert.deepEqual(scales, scales.map((_, step) => scale / 2 ** skippedBefore(step)));
    const counted = { skipped: skipped.length, taken: steps - skipped.length };
    assert.equal(a.said.counted, counted.skipped);
    assert.deepEqual(lossScale, {
      scale: scale / 2 ** counted.skipped,
      growthTracker: steps - 1 - bad,
      ...counted,
    });

    await member("", 2 * scale);
    const one = await result(0);
    assert.deepEqual(one.said.skipped, skipped);
    assert.deepEqual(one.said.lossScale, { ...lossScale, scale: 2 * lossScale.scale });
    // Sums over the batch in another order turn some roundings to f16 (2^-11) the other way; a step
    // more or less in between makes 6e-3 (ema) to 0.2 (m).
    for (const [name, { data }] of one.state) {
      const error = relative(a.state.get(name)!.data as Float32Array, data as Float32Array);
      assert.ok(error <= 2 ** -8, `${name}: ${error}`);
    }
  });
});
