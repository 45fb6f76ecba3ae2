/** `deno task kill`: kills a training run again and again; its weights must end the same. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { Command } from "commander";
import { main, parseArguments } from "../lib/cli/main.ts";
import { wholeIn } from "../lib/cli/command.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { checkpointName, CHECKPOINTS, STATE_NAME } from "../lib/train/checkpoint.ts";
import { PhiloxStream } from "../lib/random/philox.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";

/** Small enough for seconds a run, with everything on that a run can have. */
const TINY = {
  train_batch_size: 2,
  gradient_accumulation_steps: 2,
  phantom_slices: 8,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  save_images_epochs: 3,
  lr_scheduler: "cosine",
  lr_warmup_steps: 5,
  max_grad_norm: 1,
  label_dropout: 0.2,
  augment_flip: true,
  augment_shift: 0.1,
  keep: 2,
  unet: { norm_num_groups: 4, attention_head_dim: 4 },
};

const program = new Command("kill")
  .description("Kills a tiny training run with SIGKILL, resumes it, and compares the end.")
  .option("--kills <n>", "kills that must hit", wholeIn(1, 1000), 30)
  .option("--steps <n>", "optimizer steps of the run", wholeIn(2, 100_000), 60)
  .option("--seed <n>", "what the moments of the kills follow from", wholeIn(0, 2 ** 32 - 1), 1)
  .option("--out <folder>", "where the runs go", "out/kill")
  .addHelpText("after", "\nExamples:\n  ./run kill\n  ./run kill --kills 3 --steps 12");

const script = join(import.meta.dirname!, "train.ts");
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Starts the run, or goes on where one has begun in `out`. */
async function train(config: string, out: string, steps: number): Promise<Deno.ChildProcess> {
  const resume = await Deno.stat(join(out, RUN_CONFIG_NAME)).then(() => true, () => false);
  const how = resume ? ["--resume"] : ["--config", config];
  const shape = resume ? [] : ["--resolution", "8", "--channels", "4,8"];
  const often = ["--checkpointing-steps", "1", "--steps", String(steps), "--out", out];
  return new Deno.Command("deno", {
    args: [
      ...[
        "run",
        "--no-prompt",
        "--cached-only",
        "--frozen",
        "--allow-read",
        "--allow-write",
        script,
      ],
      ...[...how, ...shape, ...often],
    ],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // It has just ended by itself.
  }
}

/** A state without how often the run was begun, which kills change, and without the digest of that. */
function stateOf(bytes: Uint8Array): string {
  const { provenance, digest, ...state } = JSON.parse(new TextDecoder().decode(bytes));
  if (!provenance || !digest) throw new CheckFailedError(`${STATE_NAME} has no copy of provenance`);
  return JSON.stringify(state);
}

/** SHA-256 of everything that the last checkpoint says about the model. */
async function fingerprint(run: string, steps: number): Promise<Record<string, string>> {
  const folder = join(run, CHECKPOINTS, checkpointName(steps));
  const files = [
    "unet/diffusion_pytorch_model.safetensors",
    "unet_ema/diffusion_pytorch_model.safetensors",
    "optimizer.safetensors",
    STATE_NAME,
  ];
  const hashes: Record<string, string> = {};
  for (const file of files) {
    const bytes = await Deno.readFile(join(folder, file));
    const hash = createHash("sha256").update(file === STATE_NAME ? stateOf(bytes) : bytes);
    hashes[file] = hash.digest("hex");
  }
  return hashes;
}

await main(async () => {
  parseArguments(program);
  const { kills, steps, seed, out } = program.opts();
  const config = join(out, "tiny.json");
  await writeFileAtomic(config, JSON.stringify(TINY));

  const [whole, killed] = [join(out, "whole"), join(out, "killed")];
  for (const folder of [whole, killed]) {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
  const begun = performance.now();
  const { code, stderr } = await (await train(config, whole, steps)).output();
  if (code !== 0) throw new InputError(`the uninterrupted run failed: ${decode(stderr)}`);
  const milliseconds = performance.now() - begun;
  const expected = await fingerprint(whole, steps);
  console.log(`the uninterrupted run takes ${(milliseconds / 1000).toFixed(1)} s`);

  const random = new PhiloxStream(seed, 1);
  for (let hits = 0; hits <= kills;) {
    const child = await train(config, killed, steps);
    const output = child.output();
    const after = random.uniform() * milliseconds;
    const timer = hits < kills ? setTimeout(() => kill(child), after) : undefined;
    const { code, signal, stderr } = await output;
    clearTimeout(timer);
    if (signal === "SIGKILL") {
      console.log(`${++hits}/${kills}: killed after ${Math.round(after)} ms`);
      continue;
    }
    if (code !== 0) throw new CheckFailedError(`after ${hits} kills: ${decode(stderr)}`);
    compare(expected, await fingerprint(killed, steps), hits);
    if (hits === kills) break;
    console.log(`${hits}/${kills}: came to its end, the bytes are the same; once more`);
    await Deno.remove(killed, { recursive: true });
  }
  console.log(`${kills} kills: weights, averages, moments and position are the same bytes`);
});

function compare(
  expected: Record<string, string>,
  got: Record<string, string>,
  kills: number,
): void {
  for (const [file, hash] of Object.entries(expected)) {
    if (got[file] !== hash) {
      throw new CheckFailedError(`after ${kills} kills ${file} differs: ${got[file]}, not ${hash}`);
    }
  }
}
