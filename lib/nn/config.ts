/** diffusers' `UNet2DModel` configuration, key for key; what is not supported is refused by name. */

import { InputError } from "../errors.ts";

/** Without and with self-attention. */
export type DownBlockType = "DownBlock2D" | "AttnDownBlock2D";
/** Without and with self-attention. */
export type UpBlockType = "UpBlock2D" | "AttnUpBlock2D";

/** Keys and meanings are those of diffusers 0.40 `UNet2DModel.__init__`. */
export interface UNet2DConfig {
  /** Pixels a side, or [height, width]; a note, any size that divides will do. */
  sample_size: number | [number, number] | null;
  /** Channels of `sample`. */
  in_channels: number;
  /** Channels of the result. */
  out_channels: number;
  /** Others are not supported. */
  center_input_sample: false;
  /** Others are not supported. */
  time_embedding_type: "positional";
  /** Width of the time embedding; null: four times the first width. */
  time_embedding_dim: number | null;
  /** `downscale_freq_shift` of the sinusoids. */
  freq_shift: number;
  /** Cosines first. */
  flip_sin_to_cos: boolean;
  /** From fine to coarse. */
  down_block_types: DownBlockType[];
  /** null: none. */
  mid_block_type: "UNetMidBlock2D" | null;
  /** From coarse to fine. */
  up_block_types: UpBlockType[];
  /** Width of each level. */
  block_out_channels: number[];
  /** Residual blocks of a level on the way down; one more on the way up. */
  layers_per_block: number;
  /** The residual sum of the middle is divided by it. */
  mid_block_scale_factor: number;
  /** 0 pads at the right and the bottom alone. */
  downsample_padding: number;
  /** Others are not supported. */
  downsample_type: "conv";
  /** Others are not supported. */
  upsample_type: "conv";
  /** Others are not supported. */
  dropout: 0;
  /** Both are SiLU. */
  act_fn: "silu" | "swish";
  /** Channels of a head; null: one head. */
  attention_head_dim: number | null;
  /** Groups of each group norm. */
  norm_num_groups: number;
  /** Groups of the norm before the middle's attention; null: `norm_num_groups`. */
  attn_norm_num_groups: number | null;
  /** Added to variances. */
  norm_eps: number;
  /** Others are not supported. */
  resnet_time_scale_shift: "default";
  /** Attention in the middle. */
  add_attention: boolean;
  /** Others are not supported. */
  class_embed_type: null;
  /** Others are not supported. */
  num_class_embeds: null;
  /** A note. */
  num_train_timesteps: number | null;
}

const DEFAULTS: UNet2DConfig = {
  sample_size: null,
  in_channels: 3,
  out_channels: 3,
  center_input_sample: false,
  time_embedding_type: "positional",
  time_embedding_dim: null,
  freq_shift: 0,
  flip_sin_to_cos: true,
  down_block_types: ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
  mid_block_type: "UNetMidBlock2D",
  up_block_types: ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [224, 448, 672, 896],
  layers_per_block: 2,
  mid_block_scale_factor: 1,
  downsample_padding: 1,
  downsample_type: "conv",
  upsample_type: "conv",
  dropout: 0,
  act_fn: "silu",
  attention_head_dim: 8,
  norm_num_groups: 32,
  attn_norm_num_groups: null,
  norm_eps: 1e-5,
  resnet_time_scale_shift: "default",
  add_attention: true,
  class_embed_type: null,
  num_class_embeds: null,
  num_train_timesteps: null,
};

/** What each key may hold, beside its default. */
const RULES: Record<keyof UNet2DConfig, (v: unknown) => string | undefined> = {
  sample_size: (v) =>
    v === null || isCount(v) || (isArray(v, isCount) && (v as number[]).length === 2)
      ? undefined
      : "a positive integer or a pair [height, width]",
  in_channels: count,
  out_channels: count,
  center_input_sample: exactly(false),
  time_embedding_type: exactly("positional"),
  time_embedding_dim: countOrNull,
  freq_shift: (v) => typeof v === "number" && Number.isFinite(v) ? undefined : "a number",
  flip_sin_to_cos: boolean,
  down_block_types: list(["DownBlock2D", "AttnDownBlock2D"]),
  mid_block_type: exactly("UNetMidBlock2D", null),
  up_block_types: list(["UpBlock2D", "AttnUpBlock2D"]),
  block_out_channels: (v) => isArray(v, isCount) ? undefined : "a list of positive integers",
  layers_per_block: count,
  mid_block_scale_factor: positive,
  downsample_padding: exactly(0, 1),
  downsample_type: exactly("conv"),
  upsample_type: exactly("conv"),
  dropout: exactly(0),
  act_fn: exactly("silu", "swish"),
  attention_head_dim: countOrNull,
  norm_num_groups: count,
  attn_norm_num_groups: countOrNull,
  norm_eps: positive,
  resnet_time_scale_shift: exactly("default"),
  add_attention: boolean,
  class_embed_type: exactly(null),
  num_class_embeds: exactly(null),
  num_train_timesteps: countOrNull,
};

/** What diffusers' `EMAModel.save_pretrained` writes among a model's keys; it says nothing of the model. */
const OF_AVERAGING = new Set([
  ...["decay", "min_decay", "inv_gamma", "power", "use_ema_warmup"],
  ...["update_after_step", "optimization_step"],
]);

function isCount(v: unknown): v is number {
  return typeof v === "number" && Number.isInteger(v) && v > 0 && v < 2 ** 20;
}
function isArray(v: unknown, test: (item: unknown) => boolean): boolean {
  return Array.isArray(v) && v.length > 0 && v.length <= 16 && v.every(test);
}
function count(v: unknown) {
  return isCount(v) ? undefined : "a positive integer";
}
function countOrNull(v: unknown) {
  return v === null || isCount(v) ? undefined : "a positive integer or null";
}
function positive(v: unknown) {
  return typeof v === "number" && v > 0 && Number.isFinite(v) ? undefined : "a positive number";
}
function boolean(v: unknown) {
  return typeof v === "boolean" ? undefined : "true or false";
}
function exactly(...allowed: unknown[]) {
  const words = allowed.map((a) => JSON.stringify(a)).join(" or ");
  return (v: unknown) => allowed.includes(v) ? undefined : `${words} (others are not supported)`;
}
function list(allowed: string[]) {
  return (v: unknown) =>
    isArray(v, (item) => allowed.includes(item as string))
      ? undefined
      : `a list of ${allowed.join(" or ")} (others are not supported)`;
}

/**
 * Checks a configuration and fills in diffusers' defaults. Keys that start with `_` are notes of
 * diffusers and ignored.
 *
 * @param name of the file, for errors.
 * @throws InputError that names the file, the key, what it holds and what it may hold.
 *
 * @example
 * ```ts
 * import { unet2DConfig } from "@lung-ddpm/webgpu";
 * const config = unet2DConfig({
 *   in_channels: 3,
 *   out_channels: 1,
 *   block_out_channels: [32, 64],
 *   down_block_types: ["DownBlock2D", "AttnDownBlock2D"],
 *   up_block_types: ["AttnUpBlock2D", "UpBlock2D"],
 * }, "config.json");
 * config.norm_num_groups; // 32, diffusers' default
 * ```
 */
export function unet2DConfig(raw: unknown, name: string): UNet2DConfig {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) {
    throw new InputError(`${name}: the model configuration must be a JSON object`);
  }
  const config: Record<string, unknown> = { ...DEFAULTS };
  for (const [key, value] of Object.entries(raw)) {
    if (key.startsWith("_")) {
      if (key === "_class_name" && value !== "UNet2DModel") {
        throw new InputError(
          `${name}: _class_name is ${JSON.stringify(value)}, ` +
            `only "UNet2DModel" is supported`,
        );
      }
      continue;
    }
    if (OF_AVERAGING.has(key)) continue;
    const rule = Object.hasOwn(RULES, key) ? RULES[key as keyof UNet2DConfig] : undefined;
    if (!rule) throw new InputError(`${name}: unknown configuration key "${key}"`);
    const required = rule(value);
    if (required) {
      throw new InputError(`${name}: ${key} is ${JSON.stringify(value)}, it must be ${required}`);
    }
    config[key] = value;
  }
  const result = config as unknown as UNet2DConfig;
  const { down_block_types: down, up_block_types: up, block_out_channels: channels } = result;
  if (down.length !== up.length || down.length !== channels.length) {
    throw new InputError(
      `${name}: down_block_types (${down.length}), up_block_types ` +
        `(${up.length}) and block_out_channels (${channels.length}) must be equally long`,
    );
  }
  if (channels.some((c) => c % result.norm_num_groups)) {
    throw new InputError(
      `${name}: block_out_channels [${channels}] must be divisible by ` +
        `norm_num_groups ${result.norm_num_groups}`,
    );
  }
  // diffusers would make zero heads and fail later on.
  const attended = [
    ...(result.add_attention && result.mid_block_type ? [channels.at(-1)!] : []),
    ...channels.filter((_, i) => down[i].startsWith("Attn")),
    ...channels.filter((_, i) => up[up.length - 1 - i].startsWith("Attn")),
  ];
  const headDim = result.attention_head_dim;
  if (headDim !== null && attended.some((c) => c < headDim)) {
    throw new InputError(
      `${name}: attention_head_dim ${headDim} must not exceed the channels of ` +
        `a level with attention, block_out_channels [${channels}]`,
    );
  }
  const attnGroups = result.attn_norm_num_groups;
  if (attnGroups !== null && channels.at(-1)! % attnGroups) {
    throw new InputError(
      `${name}: block_out_channels [${channels}] must end in a multiple of ` +
        `attn_norm_num_groups ${attnGroups}`,
    );
  }
  return result;
}

/** Throws unless both sides can be halved at every level. */
export function checkImageSize(config: UNet2DConfig, height: number, width: number): void {
  const step = 2 ** (config.block_out_channels.length - 1);
  if (height < step || width < step || height % step || width % step) {
    throw new InputError(
      `image size ${height}×${width}: height and width must be multiples of ` +
        `${step} for a model of ${config.block_out_channels.length} levels`,
    );
  }
}
