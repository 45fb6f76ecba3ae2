/** A training run small enough for tests. */

import { openPhantomDataset, SliceCache } from "../../lib/data/dataset.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import type { Precision } from "../../lib/graph/tensor.ts";
import { PRESETS, type RunConfig, runConfig } from "../../lib/train/config.ts";
import { Trainer } from "../../lib/train/trainer.ts";

export function tinyConfig(precision: Precision = "f32"): RunConfig {
  return runConfig({
    ...PRESETS.demo,
    condition: "class",
    cfg_scale: 2,
    resolution: [8, 8],
    train_batch_size: 2,
    precision,
    unet: {
      in_channels: 3,
      out_channels: 1,
      block_out_channels: [4, 8],
      layers_per_block: 1,
      norm_num_groups: 4,
      attention_head_dim: 4,
      down_block_types: ["DownBlock2D", "DownBlock2D"],
      up_block_types: ["UpBlock2D", "UpBlock2D"],
    },
  }, "tiny");
}

export async function tinyTrainer(
  gpu: Gpu,
  precision: Precision = "f32",
  change: Partial<RunConfig> = {},
): Promise<Trainer> {
  const config = runConfig({ ...tinyConfig(precision), ...change }, "tiny");
  const { train } = openPhantomDataset({ seed: 1, count: 4, size: 16 });
  return await Trainer.create(gpu, config, train, new SliceCache({ height: 8, width: 8 }));
}
