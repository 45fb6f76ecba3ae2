/** What `share` hands on holds nothing of a patient: searched byte by byte. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join, relative } from "node:path";
import { loadModelFolder } from "../../lib/diffusion/model_folder.ts";
import { writeFileAtomic } from "../../lib/io/atomic.ts";
import { encodePng } from "../../lib/io/png.ts";
import { readSafetensors, writeSafetensors } from "../../lib/io/safetensors_file.ts";
import { walk } from "../../lib/io/walk.ts";
import { checkpointName, saveCheckpoint } from "../../lib/train/checkpoint.ts";
import { SHARED_FILES, shareRun } from "../../lib/train/share.ts";
import { trainingScheduler } from "../../lib/train/training_step.ts";
import { namedTensors } from "../../lib/nn/state_dict.ts";
import { unet2DParameters } from "../../lib/nn/unet_2d.ts";
import { tinyConfig, withFolder } from "./tiny.ts";

const SECRETS = ["MUELLER-19570304", "/home/dr.mayer/klinik", "1.2.276.0.7230010.3", "2024-03-17"];
const WEIGHTS = "diffusion_pytorch_model.safetensors";

/** A run whose every file names a patient, where it can. */
async function tellingRun(run: string) {
  const config = tinyConfig({ label_dropout: 0.1 });
  const layout = unet2DParameters(config.unet);
  const params = Float32Array.from({ length: layout.size }, (_, i) => Math.sin(i));
  const ema = params.map((v) => v + 1), m = params.map((v) => v + 2), v = params.map((w) => w + 3);
  const sampler = { positives: 0, negatives: 0 } as never;
  const folder = await saveCheckpoint(run, config.unet, layout, trainingScheduler(config), {
    progress: { step: 7, microStep: 7, sampler },
    ...{ params, ema, m, v },
  });
  const secret = SECRETS.join(" ");
  for (const part of ["unet", "unet_ema"]) {
    const weights = join(folder, part, WEIGHTS);
    const { tensors } = await readSafetensors(weights);
    await writeSafetensors(weights, tensors, { format: "pt", patient: secret });
    const path = join(folder, part, "config.json");
    const json = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(path, JSON.stringify({ ...json, _name_or_path: secret }));
  }
  const scheduler = join(folder, "scheduler/scheduler_config.json");
  const json = JSON.parse(await Deno.readTextFile(scheduler));
  await Deno.writeTextFile(scheduler, JSON.stringify({ ...json, _from: secret }));
  // The checkpoint's own sums of them, so that it loads.
  const state = join(folder, "state.json");
  const record = JSON.parse(await Deno.readTextFile(state));
  for (const file of Object.keys(record.sha256)) {
    const bytes = await Deno.readFile(join(folder, file));
    record.sha256[file] = createHash("sha256").update(bytes).digest("hex");
  }
  await Deno.writeTextFile(state, JSON.stringify({ ...record, from: secret }));
  const png = { width: 1, height: 1, channels: 1 as const, data: Uint8Array.of(7) };
  const files: Record<string, string | Uint8Array> = {
    "config.json": JSON.stringify({ data: secret, ...config }),
    "provenance.json": secret,
    "report.html": secret,
    "metrics.csv": secret,
    "private/slices.pack": secret,
    "samples/epoch-0001.png": encodePng({ ...png, text: { Run: secret } }),
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFileAtomic(join(run, name), content);
  }
  return { ema, params };
}

Deno.test("share: weights, scheduler and settings alone; no id, path, date or picture in any byte", () =>
  withFolder(async (root) => {
    const run = join(root, "run"), out = join(root, "shared");
    const { ema, params } = await tellingRun(run);
    const from = await shareRun(run, out, { ema: true, checkpoint: "newest" });
    assert.equal(from, join(run, "checkpoints", checkpointName(7), "unet_ema"));
    const files = [...walk(out)].map((path) => relative(out, path)).sort();
    assert.deepEqual(files, [...SHARED_FILES].sort());
    const words = [...SECRETS, ...SECRETS.flatMap((s) => s.split(/[/ -]/)), root, "PNG"]
      .filter((word) => word.length > 3 || word === "PNG");
    for (const file of files) {
      const bytes = await Deno.readFile(join(out, file));
      const latin = Array.from(bytes, (b) => String.fromCharCode(b)).join("");
      for (const word of words) assert.ok(!latin.includes(word), `${file} holds ${word}`);
    }
    const card = await Deno.readTextFile(join(out, "README.md"));
    assert.match(card, /step 7$/m);
    const weightsHash = createHash("sha256").update(
      await Deno.readFile(join(out, "unet", WEIGHTS)),
    );
    assert.ok(card.includes(`| unet/${WEIGHTS} | \`${weightsHash.digest("hex")}\` |`), card);
    const model = await loadModelFolder(out);
    const weights = (flat: Float32Array<ArrayBuffer>) =>
      [...namedTensors(model.layout, flat)].map(([name, { data }]) => [name, data]);
    assert.deepEqual(weights(model.params), weights(ema));
    assert.equal(model.nullClass, -1);
    const plain = join(root, "plain");
    await shareRun(run, plain, { ema: false, checkpoint: 7 });
    assert.deepEqual(weights((await loadModelFolder(plain)).params), weights(params));
  }));

Deno.test("share: a folder that holds anything is refused, and stays as it is", () =>
  withFolder(async (root) => {
    const run = join(root, "run");
    await tellingRun(run);
    await Deno.writeTextFile(join(root, "mine.txt"), "mine");
    const shared = shareRun(run, root, { ema: true, checkpoint: "newest" });
    await assert.rejects(shared, /holds files already/);
    assert.deepEqual([...Deno.readDirSync(root)].map(({ name }) => name).sort(), [
      "mine.txt",
      "run",
    ]);
    const nothing = shareRun(join(root, "none"), join(root, "b"), {
      ema: true,
      checkpoint: "newest",
    });
    await assert.rejects(nothing, /none/);
    await assert.rejects(Deno.stat(join(root, "b")), Deno.errors.NotFound);
  }));
