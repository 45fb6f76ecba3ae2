/** Settings of a run: the ends of each range are accepted, what lies beyond is refused by name. */

import assert from "node:assert/strict";
import { PRESETS, runConfig } from "../../lib/train/config.ts";

/** Key, what is accepted, what is refused. */
const RANGES: [string, unknown[], unknown[]][] = [
  ["seed", [0, 1, 2 ** 32 - 1], [-1, 2 ** 32, 0.5, "1", null]],
  ["train_batch_size", [1, 4096], [0, 4097, 1.5]],
  ["gradient_accumulation_steps", [1, 4096], [0, 4097]],
  ["num_epochs", [1], [0, -1, 1.5, null]],
  ["max_train_steps", [1, null], [0, -1, 1.5]],
  ["learning_rate", [0, 1], [-1e-9, 1.001, NaN, "1e-4"]],
  ["lr_warmup_steps", [0, 1], [-1, 0.5]],
  ["max_grad_norm", [1, null], [0, -1]],
  ["adam_beta1", [0, 0.9], [-0.1, 1]],
  ["adam_beta2", [0, 0.999], [-0.1, 1]],
  ["adam_weight_decay", [0, 10], [-0.1, 10.1]],
  ["adam_epsilon", [1e-8, 1], [0, 1.1]],
  ["ema_decay", [0, 1], [-0.1, 1.1]],
  ["snr_gamma", [5, null], [0, -1]],
  ["label_dropout", [0, 1], [-0.1, 1.1]],
  ["cfg_scale", [0, 100], [-0.1, 100.1]],
  ["save_images_epochs", [1], [0, 1.5]],
  ["save_model_epochs", [1], [0, 1.5]],
  ["checkpointing_steps", [1, null], [0]],
  ["keep", [2, 3], [1, 0]],
  ["augment_rotate", [0, 180], [-1, 181]],
  ["augment_shift", [0, 0.5], [-0.1, 0.51]],
  ["field_mm", [10, 2000, null], [9, 2001]],
  ["precision", ["f32", "f16"], ["f64", 16]],
  ["prediction_type", ["epsilon", "v_prediction"], ["x0", null]],
  ["exact", [true, false], ["true", 1, null]],
];

for (const [key, accepted, refused] of RANGES) {
  Deno.test(`settings: ${key}`, () => {
    const take = (value: unknown) =>
      runConfig({ ...structuredClone(PRESETS.demo), [key]: value }, "file") as unknown as Record<
        string,
        unknown
      >;
    for (const value of accepted) assert.equal(take(value)[key], value, String(value));
    for (const value of refused) {
      assert.throws(
        () => take(value),
        (error: Error) => error.name === "InputError" && error.message.startsWith(`file: ${key} `),
        `${key} ${value}`,
      );
    }
  });
}
