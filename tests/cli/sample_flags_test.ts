/** Each flag of `sample` changes what is made, and as it says; `train --epochs` trains so many. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readNpy } from "../../lib/io/npy_file.ts";
import { listCheckpoints } from "../../lib/train/checkpoint.ts";
import { writeBest } from "../../lib/train/retention.ts";
import { tinyConfig, withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function good(script: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--allow-read", "--allow-write", "--allow-env=INIT_CWD"],
      ...[join(ROOT, "scripts", `${script}.ts`), ...args],
    ],
    cwd: ROOT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert.equal(code, 0, text(stderr) + text(stdout));
  return text(stdout);
}

/** The one slice of a folder. */
async function sliceOf(folder: string): Promise<Float32Array> {
  const slices = [...Deno.readDirSync(folder)].filter((e) => /_slice_.*\.npy$/.test(e.name));
  assert.equal(slices.length, 1);
  return (await readNpy(join(folder, slices[0].name))).data as Float32Array;
}

Deno.test("train --epochs, and each flag of sample on the run it makes", async (t) => {
  await withFolder(async (folder) => {
    const config = join(folder, "tiny.json"), run = join(folder, "run");
    const { max_train_steps: _, ...rest } = tinyConfig({ ema_decay: 0.5, learning_rate: 0.01 });
    await Deno.writeTextFile(config, JSON.stringify({ ...rest, checkpointing_steps: 4, keep: 9 }));

    await t.step("--epochs 2: two epochs of balanced batches, and then it ends", async () => {
      await good("train", "--config", config, "--epochs", "2", "--out", run);
      // 8 slices, 4 of them with a nodule, in batches of 2: 4 batches an epoch.
      const steps = (await listCheckpoints(run)).map((p) => Number(basename(p).slice(5)));
      assert.deepEqual(steps.sort((a, b) => a - b), [4, 8]);
      const csv = (await Deno.readTextFile(join(run, "metrics.csv"))).trim().split("\n");
      assert.equal(csv.at(-1)!.split(",")[0], "8");
    });

    const images = new Map<string, Float32Array>();
    const make = async (name: string, ...args: string[]) => {
      const out = join(folder, `out-${images.size}`);
      const flags = ["--steps", "4", "--count", "1", "--class", "1", "--seed", "3", "--out", out];
      const own = args.filter((word) => word.startsWith("--"));
      const left = flags.filter((word, i) => !own.includes(i % 2 ? flags[i - 1] : word));
      await good("sample", "--run", run, ...left, ...args);
      const data = await sliceOf(out);
      images.set(name, data);
      return data;
    };
    await make("plain", "--cfg", "1");
    const guided = await make("guided", "--cfg", "3");
    await make("averaged weights left", "--cfg", "3", "--no-ema");
    await make("DDIM's η", "--cfg", "3", "--eta", "1");
    await make("rescaled guidance", "--cfg", "3", "--guidance-rescale", "0.9");
    await make("guided from a timestep on", "--cfg", "3", "--cfg-from", "400");
    await make("guided up to a timestep", "--cfg", "3", "--cfg-to", "400");
    await make("another step", "--cfg", "3", "--checkpoint", "4");
    await make("another seed", "--cfg", "3", "--seed", "4");
    await make("more steps", "--cfg", "3", "--steps", "5");
    await make("DDPM", "--cfg", "3", "--scheduler", "ddpm");
    await make("DPM-Solver++", "--cfg", "3", "--scheduler", "dpm++");
    await make("other timesteps", "--cfg", "3", "--spacing", "trailing");

    await t.step("every one of these is an image of its own", () => {
      const same: string[] = [];
      const all = [...images];
      for (const [i, [a, x]] of all.entries()) {
        for (const [b, y] of all.slice(i + 1)) {
          if (x.every((v, k) => v === y[k])) same.push(`${a} = ${b}`);
        }
      }
      assert.deepEqual(same, []);
    });

    await t.step(
      "guidance from the first timestep to the last is guidance everywhere",
      async () => {
        const everywhere = await make("all", "--cfg", "3", "--cfg-from", "0", "--cfg-to", "1000");
        assert.deepEqual(everywhere, guided);
      },
    );

    await t.step("--checkpoint best takes the checkpoint that best.json names", async () => {
      await writeBest(run, { step: 4, metric: "loss", value: 0.1 });
      const best = await make("best", "--cfg", "3", "--checkpoint", "best");
      assert.deepEqual(best, images.get("another step"));
      const newest = await make("newest", "--cfg", "3", "--checkpoint", "newest");
      assert.deepEqual(newest, guided);
    });

    await t.step("what a sampler that clips nothing makes is clamped to the window", async () => {
      const strong = await make("strong", "--cfg", "90", "--scheduler", "dpm++");
      assert.ok(strong.every((hu) => hu >= -1350 && hu <= 150));
      assert.ok(strong.some((hu) => hu === -1350 || hu === 150), "some would have left it");
    });

    await t.step("--resample takes inpainting's steps again", async () => {
      const made = [...Deno.readDirSync(join(folder, "out-0"))];
      const slice = join(folder, "out-0", made.find((e) => /_slice_.*\.npy$/.test(e.name))!.name);
      const inpaint = async (name: string, ...args: string[]) => {
        const out = join(folder, name);
        await good(
          ...["sample", "--run", run, "--steps", "4", "--count", "1", "--inpaint", slice],
          ...["--region", "4,3,2.5", "--seed", "3", "--out", out, ...args],
        );
        return await sliceOf(out);
      };
      const once = await inpaint("once"), twice = await inpaint("twice", "--resample", "2");
      const inside = (i: number) => (i % 8 - 4) ** 2 + (Math.floor(i / 8) - 3) ** 2 <= 6.25;
      const differs = [...once.keys()].filter((i) => once[i] !== twice[i]);
      assert.ok(differs.length > 0 && differs.every(inside), `${differs}`);
    });
  });
});
