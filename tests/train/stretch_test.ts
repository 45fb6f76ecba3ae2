import assert from "node:assert/strict";
import { PRESETS, runConfig } from "../../lib/train/config.ts";
import { stretchEpochs } from "../../scripts/train_options.ts";

const request = (epochKeys: ("num_epochs" | "save_images_epochs" | "save_model_epochs")[]) => ({
  config: runConfig(structuredClone(PRESETS.demo), "demo"),
  data: [{ folder: "data", weight: 1 }],
  out: "out",
  resume: false,
  overwrite: false,
  locked: false,
  epochKeys,
});
const epochs = ({ config }: ReturnType<typeof request>) => [
  config.num_epochs,
  config.save_images_epochs,
  config.save_model_epochs,
];

Deno.test("the demo trains as long on few slices as on its phantom", () => {
  const all = request(["num_epochs", "save_images_epochs", "save_model_epochs"]);
  const [steps] = epochs(all).map((n) => 40 * n);
  assert.match(stretchEpochs(all, 2)!, /2 batches here, not 40 .* 160 epochs/);
  assert.deepEqual(epochs(all), [160, 80, 20]);
  assert.equal(2 * epochs(all)[0], steps);

  const phantom = request(["num_epochs"]);
  assert.equal(stretchEpochs(phantom, 40), undefined);
  assert.deepEqual(epochs(phantom), [8, 4, 1]);

  const given = request([]);
  assert.equal(stretchEpochs(given, 2), undefined);
  assert.deepEqual(epochs(given), [8, 4, 1]);
});
