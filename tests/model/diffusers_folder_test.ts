/** Folders that diffusers wrote are read, and what is written is what diffusers would have. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Graph } from "../../lib/graph/graph.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { toFloat32 } from "../../lib/io/safetensors.ts";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";
import { FlatParameters } from "../../lib/nn/parameters.ts";
import {
  CONFIG_NAME,
  loadPretrained,
  savePretrained,
  WEIGHTS_NAME,
} from "../../lib/nn/pretrained.ts";
import { unet2D } from "../../lib/nn/unet_2d.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { relative } from "../../lib/verify/case.ts";

const FOLDER = fileURLToPath(new URL("../fixtures/diffusers_tiny", import.meta.url));

Deno.test("a folder written by diffusers gives diffusers' output", async () => {
  const model = await loadPretrained(FOLDER);
  const { tensors } = await readSafetensors(join(FOLDER, "case.safetensors"));
  const sample = tensors.get("input.sample")!;
  const graph = new Graph();
  const source = new FlatParameters(
    graph.state("params", { shape: [model.layout.size], dtype: "f32" }),
    model.layout,
  );
  const x = graph.input("sample", { shape: sample.shape, dtype: "f32" });
  const t = graph.input("timestep", { shape: [sample.shape[0]], dtype: "i32" });
  graph.output("y", unet2D(model.config, source, x, t));
  const gpu = await openGpu();
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile, exact: true }));
  exe.write("params", model.params);
  exe.write("sample", Float32Array.from(toFloat32(sample)));
  const timestep = tensors.get("input.timestep")!.data as ArrayLike<number | bigint>;
  exe.write("timestep", Int32Array.from(timestep, Number));
  exe.run();
  const error = relative(await exe.read("y"), toFloat32(tensors.get("output.sample")!));
  assert.ok(error <= 5e-6, `relative error ${error}`);
  gpu.destroy();
});

Deno.test("reading and writing keeps every bit and every key of the configuration", async () => {
  const folder = await Deno.makeTempDir();
  const model = await loadPretrained(FOLDER);
  await savePretrained(folder, model);
  assert.deepEqual(
    await Deno.readFile(join(folder, WEIGHTS_NAME)),
    await Deno.readFile(join(FOLDER, WEIGHTS_NAME)),
  );
  const [ours, theirs] = [folder, FOLDER].map((f) =>
    JSON.parse(Deno.readTextFileSync(join(f, CONFIG_NAME))) as Record<string, unknown>
  );
  for (const [key, value] of Object.entries(theirs)) {
    if (!key.startsWith("_")) assert.deepEqual(ours[key], value, key);
  }
  assert.equal(ours._class_name, "UNet2DModel");
  await Deno.remove(folder, { recursive: true });
});

/** No level has attention. */
const PLAIN = {
  down_block_types: ["DownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "UpBlock2D"],
  block_out_channels: [32, 64],
};

Deno.test("what is not supported is refused by name", () => {
  const refused: [Record<string, unknown>, RegExp][] = [
    [{ resnet_time_scale_shift: "scale_shift" }, /resnet_time_scale_shift.*not supported/],
    [{ act_fn: "mish" }, /act_fn/],
    [{ dropout: 0.1 }, /dropout/],
    [{ class_embed_type: "timestep" }, /class_embed_type/],
    [{ down_block_types: ["SkipDownBlock2D"] }, /down_block_types/],
    [{ no_such_key: 1 }, /unknown configuration key "no_such_key"/],
    [{ _class_name: "UNet2DConditionModel" }, /UNet2DConditionModel/],
    [{ block_out_channels: [32, 64] }, /equally long/],
    [{ block_out_channels: [30, 64, 64, 64] }, /divisible by norm_num_groups/],
    [{ center_input_sample: true }, /center_input_sample/],
    [{ time_embedding_type: "fourier" }, /time_embedding_type/],
    [{ attention_head_dim: 1024 }, /attention_head_dim 1024 must not exceed/],
    // Attention in the middle alone.
    [{ ...PLAIN, attention_head_dim: 1024 }, /attention_head_dim 1024 must not exceed/],
    ...[0, -1, 1.5, 2 ** 20, "2", null].map((layers_per_block) =>
      [{ layers_per_block }, /layers_per_block is .*a positive integer/] as [
        Record<string, unknown>,
        RegExp,
      ]
    ),
  ];
  for (const [change, message] of refused) {
    assert.throws(() => unet2DConfig(change, "config.json"), (error: Error) => {
      assert.equal(error.name, "InputError");
      assert.match(error.message, /^config.json: /);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("where nothing attends, the width of a head is of no concern", () => {
  const config = { ...PLAIN, add_attention: false, attention_head_dim: 1024 };
  assert.equal(unet2DConfig(config, "config.json").attention_head_dim, 1024);
});

Deno.test("damaged folders are refused with the file and the reason", async () => {
  const folder = await Deno.makeTempDir();
  const weights = join(folder, WEIGHTS_NAME);
  const copy = async () => {
    for (const name of [CONFIG_NAME, WEIGHTS_NAME]) {
      await Deno.copyFile(join(FOLDER, name), join(folder, name));
    }
  };
  const refuses = (message: RegExp) =>
    assert.rejects(loadPretrained(folder), (error: Error) => {
      assert.equal(error.name, "InputError", String(error.stack));
      assert.match(error.message, message);
      assert.ok(error.message.includes(folder), error.message);
      return true;
    });
  await copy();
  await Deno.truncate(weights, 50_000);
  await refuses(/safetensors/);
  await copy();
  const config = JSON.parse(await Deno.readTextFile(join(folder, CONFIG_NAME)));
  config.layers_per_block = 2;
  await Deno.writeTextFile(join(folder, CONFIG_NAME), JSON.stringify(config));
  await refuses(/missing|requires/);
  await Deno.writeTextFile(join(folder, CONFIG_NAME), "{");
  await refuses(/config.json/);
  await Deno.remove(weights);
  await copy();
  await Deno.remove(weights);
  await refuses(/no weights: diffusion_pytorch_model\.safetensors, its shards/);
  await Deno.remove(folder, { recursive: true });
});
