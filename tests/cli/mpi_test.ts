/** Two processes with half the batch each are one process with the whole batch. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";

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

Deno.test("two processes train to the weights of one", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const config = join(folder, "tiny.json");
    await Deno.writeTextFile(config, JSON.stringify(TINY));
    const run = async (out: string, before: string) => {
      const shape = ["--resolution", "8", "--channels", "4,8", "--steps", String(STEPS)];
      const { code, stdout, stderr } = await new Deno.Command("sh", {
        args: [
          "-c",
          // As root, in containers, Open MPI asks to be told twice.
          `export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; exec ${before} "$@"`,
          "sh",
          ...["deno", "run", "--no-prompt", "--allow-read", "--allow-write"],
          ...["--allow-env=INIT_CWD", "--allow-ffi=/usr,/opt", "scripts/train_mpi.ts"],
          ...["--config", config, ...shape, "--out", out],
        ],
        cwd: ROOT,
        stdout: "piped",
        stderr: "piped",
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.equal(code, 0, text(stderr) + text(stdout));
      return text(stdout);
    };
    const found = await new Deno.Command("sh", { args: ["-c", "command -v mpirun"] }).output();
    if (found.code !== 0) return console.log("skipped: mpirun is not installed");
    const [one, two] = [join(folder, "one"), join(folder, "two")];
    await run(one, "");
    const said = await run(two, "mpirun --oversubscribe -n 2");
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
