/**
 * The trainer as a library: graphs, Plans, their audit, and the model. Nothing here opens files or a
 * GPU by itself; `openGpu` needs WebGPU (Deno, a browser).
 *
 * @module
 */

export { Graph } from "./lib/graph/graph.ts";
export { gradients } from "./lib/graph/autograd.ts";
export { interpret, type Interpretation } from "./lib/graph/interpret.ts";
export type { Cost, DeviceProfile, OpCase, OpDef, OpName, Registry } from "./lib/graph/op.ts";
export { type DType, Tensor, type TensorType } from "./lib/graph/tensor.ts";
export { OPS } from "./lib/ops/mod.ts";

export { DEFAULT_PROFILE, type Gpu, openGpu } from "./lib/gpu/device.ts";
export { type Plan, planBytes, type PlanDispatch, type PlanShader } from "./lib/gpu/plan.ts";
export { plan, type PlanOptions } from "./lib/gpu/planner.ts";
export { Executable } from "./lib/gpu/runtime.ts";

export { type UNet2DConfig, unet2DConfig } from "./lib/nn/config.ts";
export { FlatParameters, ParameterLayout } from "./lib/nn/parameters.ts";
export { unet2D, unet2DParameters } from "./lib/nn/unet_2d.ts";

export { Sampler, type SampleRequest, type SamplerOptions } from "./lib/diffusion/sampler.ts";
export { samplingGraph } from "./lib/diffusion/sampling_graph.ts";
export { type ReverseStep, reverseSteps, schedulerConfig } from "./lib/diffusion/scheduler.ts";
export { trainingGraph } from "./lib/train/training_graph.ts";
export { PRESETS, type RunConfig, runConfig } from "./lib/train/config.ts";

export { checkStep, type NodeCheck } from "./lib/audit/check.ts";
export { zeroGradients } from "./lib/audit/findings.ts";
export { planHash, shaderHash } from "./lib/audit/hash.ts";
export { type AuditReport, auditReport } from "./lib/audit/report.ts";
export { type AuditedStep, auditedStep } from "./lib/audit/steps.ts";
