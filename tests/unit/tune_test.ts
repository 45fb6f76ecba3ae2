/** Choices of variants: what is stored is read back, and what is damaged or stale is not used. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { DeviceProfile, Variant } from "../../lib/graph/op.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";
import { formInputs, formKey, formOf, soloGraph, variantsOf } from "../../lib/tune/check.ts";
import { readChoices, writeChoices } from "../../lib/tune/choice_files.ts";
import { type Choices, chooseBy, kernelHash } from "../../lib/tune/choices.ts";

const FORM = {
  op: "conv2d",
  inputs: [{ shape: [1, 4, 8, 8], dtype: "f32" }, { shape: [4, 4, 3, 3], dtype: "f32" }],
  attrs: { stride: 1, padding: [1, 1, 1, 1] },
} as const;

const variant = (name: string, note: string): Variant => ({
  name,
  exact: true,
  build: () => ({ calls: [], scratch: [note.length] }),
});
const node = soloGraph(FORM).outputs[0].node;

Deno.test("tune: the fastest of the variants offered is chosen, stale ones are passed over", () => {
  const [a, b, c] = ["a", "bb", "ccc"].map((name) => variant(name, name));
  const choices: Choices = {
    [formKey(formOf(node))]: {
      variants: [
        { name: "gone", milliseconds: 1, kernel: "" },
        { name: "ccc", milliseconds: 2, kernel: kernelHash(c) },
        { name: "bb", milliseconds: 3, kernel: kernelHash(b) },
      ],
    },
  };
  const choose = chooseBy(choices);
  assert.equal(choose(node, [a, b, c]).name, "ccc");
  assert.equal(choose(node, [a, b]).name, "bb");
  assert.equal(choose(node, [a, variant("ccc", "another kernel")]).name, "a");
  assert.equal(chooseBy({})(node, [a, b]).name, "a");
});

Deno.test("tune: stored choices are read back; damage and other adapters give none", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "tune", "x.json");
    const choices: Choices = {
      key: { variants: [{ name: "a", milliseconds: 1, kernel: "k" }] },
    };
    assert.deepEqual(await readChoices(path, "gpu"), {});
    await writeChoices(path, "gpu", choices);
    assert.deepEqual(await readChoices(path, "gpu"), choices);
    assert.deepEqual(await readChoices(path, "another"), {});
    const text = await Deno.readTextFile(path);
    const damaged = [
      "",
      "null",
      "[]",
      text.slice(0, 40),
      text.replace('"version": 1', '"version": 2'),
      '{"version":1,"adapter":"gpu"}',
      '{"version":1,"adapter":"gpu","choices":null}',
      '{"version":1,"adapter":"gpu","choices":{"key":{"variants":[{"name":1}]}}}',
      '{"version":1,"adapter":"gpu","choices":{"key":null}}',
    ];
    for (const bytes of damaged) {
      await Deno.writeTextFile(path, bytes);
      assert.deepEqual(await readChoices(path, "gpu"), {}, bytes);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tune: a form's inputs fit its types, and software devices are offered more", () => {
  assert.deepEqual(formInputs(FORM).map((v) => v.length), [256, 144]);
  const software: DeviceProfile = { ...DEFAULT_PROFILE, software: true };
  const names = (device: DeviceProfile) => variantsOf(FORM, { device }).map((v) => v.name);
  assert.equal(new Set(names(software)).size, names(software).length, "names tell variants apart");
  assert.ok(names(DEFAULT_PROFILE).length > 0);
});
