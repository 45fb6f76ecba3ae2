/** Weights as diffusers writes them, whole, sharded, half, pickled, under old names: one model each time. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors, writeSafetensors } from "../../lib/io/safetensors_file.ts";
import { loadPretrained } from "../../lib/nn/pretrained.ts";

/** Written by diffusers 0.42.1, which reads all but the wrapped ones as the same weights. */
const FORMS = fileURLToPath(new URL("../fixtures/weight_forms", import.meta.url));
const NAME = "diffusion_pytorch_model";
const whole = await loadPretrained(join(FORMS, "whole"));

Deno.test("shards, a .bin and attention names from before 2023 give the same bits", async () => {
  for (const form of ["shards", "bin", "old_attention"]) {
    const model = await loadPretrained(join(FORMS, form));
    assert.deepEqual(model.params, whole.params, form);
    assert.deepEqual(model.config, whole.config, form);
  }
});

Deno.test("an fp16 variant gives the weights rounded to half", async () => {
  const { params, weightsPath } = await loadPretrained(join(FORMS, "fp16"));
  assert.deepEqual(params, new Float32Array(Float16Array.from(whole.params)));
  assert.match(weightsPath, /\.fp16\.safetensors$/);
});

async function copyOf(form: string): Promise<string> {
  const folder = await Deno.makeTempDir();
  for await (const { name } of Deno.readDir(join(FORMS, form))) {
    await Deno.copyFile(join(FORMS, form, name), join(folder, name));
  }
  return folder;
}

async function refuses(folder: string, message: RegExp) {
  await assert.rejects(loadPretrained(folder), (error: Error) => {
    assert.equal(error.name, "InputError", error.stack);
    assert.match(error.message, message);
    return true;
  });
}

Deno.test("full weights beside a half variant are the ones that are read", async () => {
  const folder = await copyOf("bin");
  await Deno.copyFile(
    join(FORMS, "fp16", `${NAME}.fp16.safetensors`),
    join(folder, `${NAME}.fp16.safetensors`),
  );
  assert.deepEqual((await loadPretrained(folder)).params, whole.params);
});

Deno.test("names that a wrapper put a prefix before: the error says which and what to do", async () => {
  await refuses(
    join(FORMS, "data_parallel"),
    /linear_1\.weight" is missing, but "module\.time_.*"module\." of DataParallel/,
  );
  await refuses(join(FORMS, "compiled"), /begin with "_orig_mod\." of torch\.compile/);
});

Deno.test("a layer under its old and its new name is refused", async () => {
  const { renameOldAttention } = await import("../../lib/nn/weights_files.ts");
  const tensor = { dtype: "F32", shape: [1], data: new Float32Array(1) } as const;
  const both = ["mid_block.attentions.0.query.weight", "mid_block.attentions.0.to_q.weight"];
  for (const names of [both, both.toReversed()]) {
    const tensors = new Map(names.map((name) => [name, { ...tensor, shape: [1] }]));
    assert.throws(() => renameOldAttention(tensors, "file"), /file: .*the same layer/);
  }
});

Deno.test("an index that points elsewhere, twice or to nothing is refused by name", async () => {
  const folder = await copyOf("shards");
  const path = join(folder, `${NAME}.safetensors.index.json`);
  const index = JSON.parse(await Deno.readTextFile(path));
  const [first, second] = [...new Set(Object.values<string>(index.weight_map))];
  const write = (map: unknown) => Deno.writeTextFile(path, JSON.stringify({ weight_map: map }));
  const changed = (shard: unknown) => ({ ...index.weight_map, "conv_in.weight": shard });
  for (const shard of ["../whole/x.safetensors", "/etc/x.bin", "a/b.bin", ".bin", "x.npy", 1]) {
    await write(changed(shard));
    await refuses(folder, /index\.json.*is no name of a \.safetensors or \.bin file/);
  }
  await write(changed("none.safetensors"));
  await refuses(folder, /none\.safetensors.*no such file/);
  await write(changed(index.weight_map["conv_in.weight"] === first ? second : first));
  await refuses(folder, /tensor "conv_in\.weight" is not in /);
  await write(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`w${i}`, `s${i}.bin`])));
  await refuses(folder, /1001 shards/);
  await write(undefined);
  await refuses(folder, /weight_map is missing/);
  await write(index.weight_map);
  await Deno.copyFile(join(folder, first), join(folder, second));
  await refuses(folder, /is in .* and in /);
});

Deno.test("a folder without weights says which there could be, and what is there", async () => {
  const folder = await copyOf("whole");
  await Deno.rename(join(folder, `${NAME}.safetensors`), join(folder, "model.safetensors"));
  await refuses(folder, /no weights: .*\.bin needed; found model\.safetensors/);
});

Deno.test("weights of whole numbers are refused by tensor", async () => {
  const folder = await copyOf("whole"), path = join(folder, `${NAME}.safetensors`);
  const { tensors } = await readSafetensors(path);
  const { shape } = tensors.get("conv_out.bias")!;
  tensors.set("conv_out.bias", { dtype: "I32", shape, data: new Int32Array(shape[0]) });
  await writeSafetensors(path, tensors);
  await refuses(folder, /tensor "conv_out\.bias" is I32, weights are floats/);
});
