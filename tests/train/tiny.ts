/** A run small enough for tests. */

import { type Dataset, openPhantomDataset, SliceCache } from "../../lib/data/dataset.ts";
import type { RunEvents } from "../../lib/train/run.ts";
import { PRESETS, type RunConfig, runConfig } from "../../lib/train/config.ts";

export function tinyConfig(changes: Partial<Omit<RunConfig, "unet">> = {}): RunConfig {
  return runConfig({
    ...PRESETS.demo,
    condition: "class",
    cfg_scale: 2,
    resolution: [8, 8],
    train_batch_size: 2,
    phantom_slices: 8,
    eval_pairs: 1,
    ddpm_num_inference_steps: 2,
    max_train_steps: 12,
    ...changes,
    unet: {
      ...PRESETS.demo.unet as object,
      block_out_channels: [4, 8],
      down_block_types: ["DownBlock2D", "DownBlock2D"],
      up_block_types: ["UpBlock2D", "UpBlock2D"],
      norm_num_groups: 4,
      attention_head_dim: 4,
    },
  }, "test");
}

/** Events of a run that nobody watches. */
export const QUIET: RunEvents = {
  onStep() {},
  onNote() {},
  onSampling() {},
  stopRequested: () => false,
};

export function tinyData(config: RunConfig): { dataset: Dataset; cache: SliceCache } {
  const [height, width] = config.resolution;
  const { seed, phantom_slices: count } = config;
  return {
    dataset: openPhantomDataset({ seed, count, size: 32 }),
    cache: new SliceCache({ height, width }),
  };
}

export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
