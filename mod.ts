/**
 * The trainer as a library: graphs and their gradients, Plans, the GPU that replays them, the model and
 * its sampler. Nothing here opens files or a GPU by itself; `openGpu` needs WebGPU. It imports nothing
 * of Deno, Node or a package, so it runs in a browser as well (see examples/browser).
 *
 * @example From another folder, through its `deno.json`
 * ```json
 * { "imports": { "@lung-ddpm/webgpu": "../lung-ddpm-webgpu/mod.ts" } }
 * ```
 *
 * @module
 */

export { DeviceLostError, InputError, NoGpuError } from "./lib/errors.ts";

export { Graph } from "./lib/graph/graph.ts";
export { type DType, type Precision, Tensor, type TensorType } from "./lib/graph/tensor.ts";
export { gradients } from "./lib/graph/autograd.ts";
export { interpret, type Interpretation } from "./lib/graph/interpret.ts";

export { OPS } from "./lib/ops/mod.ts";
export { f32, i32 } from "./lib/ops/common/checks.ts";
export { add } from "./lib/ops/add/op.ts";
export { attention, type AttentionOptions } from "./lib/ops/attention/op.ts";
export { concat, slice } from "./lib/ops/concat/op.ts";
export { conv2d, type Conv2dOptions } from "./lib/ops/conv2d/op.ts";
export type { Padding } from "./lib/ops/conv2d/geometry.ts";
export { timestepEmbedding } from "./lib/ops/embedding/op.ts";
export type { TimestepEmbeddingOptions } from "./lib/ops/embedding/shared.ts";
export { groupNorm, type GroupNormOptions } from "./lib/ops/group_norm/op.ts";
export { linear } from "./lib/ops/linear/op.ts";
export { mse } from "./lib/ops/mse/op.ts";
export { averagePool2d, maxPool2d, type Pool2dOptions } from "./lib/ops/pool2d/op.ts";
export { relu } from "./lib/ops/relu/op.ts";
export { scale } from "./lib/ops/scale/op.ts";
export { silu } from "./lib/ops/silu/op.ts";
export { upsampleNearest2x } from "./lib/ops/upsample/op.ts";
export { view } from "./lib/ops/view/op.ts";

export { plan } from "./lib/plan/planner.ts";
export type { PlanOptions } from "./lib/plan/lower.ts";
export { type Plan, planBytes } from "./lib/plan/plan.ts";
export { DEFAULT_PROFILE, type Gpu, openGpu } from "./lib/gpu/device.ts";
export type { DeviceProfile } from "./lib/graph/op.ts";
export { Executable, type LoadOptions, type TypedData } from "./lib/gpu/runtime.ts";

export {
  type DownBlockType,
  type UNet2DConfig,
  unet2DConfig,
  type UpBlockType,
} from "./lib/nn/config.ts";
export {
  FlatParameters,
  type Init,
  ParameterLayout,
  type ParameterSource,
  type ParameterSpec,
} from "./lib/nn/parameters.ts";
export { flattenParameters, namedTensors } from "./lib/nn/state_dict.ts";
export { unet2D, unet2DParameters } from "./lib/nn/unet_2d.ts";
export { encodeNpy, type NpyArray, type NpyData, parseNpy } from "./lib/io/npy.ts";
export {
  encodeSafetensors,
  parseSafetensors,
  type SafeTensor,
  type SafetensorsDtype,
  type SafetensorsFile,
  type TensorData,
} from "./lib/io/safetensors.ts";

export type { BetaSchedule } from "./lib/diffusion/noise_schedule.ts";
export { type NoiseLevel, type ReverseStep, reverseSteps } from "./lib/diffusion/scheduler.ts";
export {
  type PredictionType,
  type SchedulerConfig,
  schedulerConfig,
  type SchedulerName,
  type TimestepSpacing,
} from "./lib/diffusion/scheduler_config.ts";
export { Sampler, type SampleRequest, type SamplerOptions } from "./lib/diffusion/sampler.ts";
