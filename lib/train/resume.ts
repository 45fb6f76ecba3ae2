/** What a run that goes on may be given anew. */

import { InputError } from "../errors.ts";
import type { RunConfig } from "./config.ts";

/**
 * Settings that may change between two steps of a run: those of the optimizer and of what is written.
 * Of all others the run would be another: its model, its data, its order, its noise.
 */
export const CHANGEABLE: readonly (keyof RunConfig)[] = [
  "max_train_steps",
  "num_epochs",
  "learning_rate",
  "lr_scheduler",
  "lr_warmup_steps",
  "max_grad_norm",
  "adam_weight_decay",
  "ema_decay",
  "ddpm_num_inference_steps",
  "cfg_scale",
  "save_images_epochs",
  "save_model_epochs",
  "checkpointing_steps",
  "keep",
  "best_metric",
  "any_values",
];

/** A setting, and how the user gave it: `--seed`, or a key of a file. */
export interface Given {
  readonly name: string;
  /** A key of the configuration, or `unet.` and one of the model's. */
  readonly key: string;
  readonly value: unknown;
}

const valueOf = (config: Record<string, unknown>, key: string): unknown =>
  key.startsWith("unet.")
    ? (config.unet as Record<string, unknown>)?.[key.slice("unet.".length)]
    : config[key];

const text = (value: unknown) => JSON.stringify(value);

/**
 * A saved configuration with what was given anew; what is given as it was saved is fine.
 *
 * @throws InputError naming every setting that differs and cannot change.
 */
export function changedConfig(
  saved: Record<string, unknown>,
  given: readonly Given[],
): Record<string, unknown> {
  const result = { ...saved };
  const refused: string[] = [];
  for (const { name, key, value } of given) {
    const before = valueOf(saved, key);
    if (text(before) === text(value)) continue;
    if (CHANGEABLE.includes(key as keyof RunConfig)) result[key] = value;
    else refused.push(`${name}: ${key} is ${text(value)}, the run has ${text(before ?? null)}`);
  }
  if (refused.length) {
    const [first, ...more] = refused;
    throw new InputError(
      `--resume: ${first}${
        more.length ? ` (and ${more.length} more: ${more.map((m) => m.split(":")[0])})` : ""
      }: a run goes on as it began; leave it out, or begin another with --out`,
    );
  }
  return result;
}
