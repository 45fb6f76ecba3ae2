/**
 * The trainer as a library: graphs, Plans, their audit, the model and its sampler. Nothing here opens
 * files or a GPU by itself; `openGpu` needs WebGPU. It imports nothing of Deno, Node or a package, so
 * it runs in a browser as well (see examples/browser).
 *
 * @module
 */

export { DeviceLostError, InputError, NoGpuError } from "./lib/errors.ts";

export { Graph } from "./lib/graph/graph.ts";
export { gradients } from "./lib/graph/autograd.ts";
export { interpret, type Interpretation } from "./lib/graph/interpret.ts";
export type { Cost, DeviceProfile, OpCase, OpDef, OpName, Registry } from "./lib/graph/op.ts";
export { type DType, Tensor, type TensorType } from "./lib/graph/tensor.ts";
export { OPS } from "./lib/ops/mod.ts";

export { DEFAULT_PROFILE, type Gpu, openGpu } from "./lib/gpu/device.ts";
export { type Plan, planBytes, type PlanDispatch, type PlanShader } from "./lib/plan/plan.ts";
export { plan, type PlanOptions } from "./lib/plan/planner.ts";
export { compilerMessages } from "./lib/gpu/pipelines.ts";
export { Executable } from "./lib/gpu/runtime.ts";

export { checkImageSize, type UNet2DConfig, unet2DConfig } from "./lib/nn/config.ts";
export { FlatParameters, ParameterLayout } from "./lib/nn/parameters.ts";
export { flattenParameters, namedTensors, type PretrainedModel } from "./lib/nn/state_dict.ts";
export { unet2D, unet2DParameters } from "./lib/nn/unet_2d.ts";
export { encodeNpy, parseNpy } from "./lib/io/npy.ts";
export { encodeSafetensors, parseSafetensors } from "./lib/io/safetensors.ts";

export { generate, type GenerateOptions } from "./lib/diffusion/generate.ts";
export { unwindowHu } from "./lib/data/window.ts";
export { chooseMasks, pictureJobs, placeJobs, type SamplingJob } from "./lib/diffusion/jobs.ts";
export {
  chooseScheduler,
  modelNotes,
  type SamplingModel,
  samplingModel,
  SCHEDULER_CHOICES,
  type SchedulerChoice,
  slicePreparation,
} from "./lib/diffusion/sampling_model.ts";
export { Sampler, type SampleRequest, type SamplerOptions } from "./lib/diffusion/sampler.ts";
export { samplingGraph } from "./lib/diffusion/sampling_graph.ts";
export { type ReverseStep, reverseSteps } from "./lib/diffusion/scheduler.ts";
export { schedulerConfig } from "./lib/diffusion/scheduler_config.ts";
export { trainingGraph } from "./lib/train/training_graph.ts";
export { PRESETS, type RunConfig, runConfig } from "./lib/train/config.ts";

export { casePlans, halfCases, prepareCase, runCasePlan } from "./lib/audit/cases.ts";
export { byShare, checkStep, type NodeCheck, shareOf } from "./lib/audit/check.ts";
export { zeroGradients } from "./lib/audit/findings.ts";
export { lockedPlans } from "./lib/audit/locked_plans.ts";
export { planHash, shaderHash } from "./lib/audit/hash.ts";
export { type AuditReport, auditReport } from "./lib/audit/report.ts";
export { type AuditedStep, auditedStep } from "./lib/audit/steps.ts";
