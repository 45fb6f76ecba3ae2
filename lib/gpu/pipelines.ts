/** Shaders compiled, each once for a device. */

import type { Gpu } from "./device.ts";
import type { PlanShader } from "../plan/plan.ts";
import { STAGED_FORMATS } from "../plan/staging_layout.ts";

const BINDING_TYPES: Record<string, Omit<GPUBindGroupLayoutEntry, "binding" | "visibility">> = {
  uniform: { buffer: { type: "uniform" } },
  read: { buffer: { type: "read-only-storage" } },
  read_write: { buffer: { type: "storage" } },
  texture: { storageTexture: { access: "read-only", format: STAGED_FORMATS.f32 } },
  "f16 texture": { storageTexture: { access: "read-only", format: STAGED_FORMATS.f16 } },
};

const pipelines = new WeakMap<Gpu, Map<string, Promise<GPUComputePipeline>>>();

/** One pipeline per final text, constants and layout, shared by all plans of the device. */
export function pipelineFor(gpu: Gpu, shader: PlanShader): Promise<GPUComputePipeline> {
  const cache = pipelines.get(gpu) ?? new Map<string, Promise<GPUComputePipeline>>();
  pipelines.set(gpu, cache);
  const key = JSON.stringify([shader.text, shader.constants, shader.layout]);
  let pipeline = cache.get(key);
  if (!pipeline) cache.set(key, pipeline = createPipeline(gpu, shader));
  return pipeline;
}

async function createPipeline(gpu: Gpu, shader: PlanShader): Promise<GPUComputePipeline> {
  const { device } = gpu;
  await gpu.accept?.(shader);
  const layout = device.createBindGroupLayout({
    entries: shader.layout.map(({ binding, access }) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      ...BINDING_TYPES[access],
    })),
  });
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: shader.file, code: gpu.source(shader.text) });
  const pending = device.createComputePipelineAsync({
    label: shader.file,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: "main", constants: { ...shader.constants } },
  });
  const scope = device.popErrorScope();
  const [result, error] = await Promise.all([
    pending.then((p) => p, (e: Error) => e),
    scope,
  ]);
  if (error) throw new Error(`Cannot compile ${shader.file}: ${error.message}`);
  if (result instanceof Error) throw new Error(`Cannot compile ${shader.file}: ${result.message}`);
  return result;
}

/** What the compiler has to say about a shader's text: errors and warnings, with their lines. */
export async function compilerMessages(gpu: Gpu, { file, text }: PlanShader): Promise<string[]> {
  const { device } = gpu;
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ label: file, code: gpu.source(text) });
  const scope = device.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  const error = await scope;
  const lines = messages.filter(({ type }) => type !== "info")
    .map(({ type, lineNum, message }) => `line ${lineNum}: ${type}: ${message}`);
  return error && lines.length === 0 ? [error.message] : lines;
}
