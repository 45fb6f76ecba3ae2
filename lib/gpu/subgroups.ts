/** Whether subgroup operations really run: a list of features says neither that they do nor that not. */

import type { Gpu } from "./device.ts";

export interface SubgroupProbe {
  readonly works: boolean;
  /** Why not; empty where they do. */
  readonly why: string;
}

const INVOCATIONS = 128;

/** Each invocation counts those that are in its subgroup, and takes the number of the first of them. */
const PROBE = `
@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(${INVOCATIONS})
fn main(@builtin(local_invocation_index) lane: u32) {
  y[2u * lane] = subgroupAdd(1u);
  y[2u * lane + 1u] = subgroupBroadcastFirst(lane);
}
`;

/** Compiles and runs a kernel with subgroup operations, and looks at what it computed. */
export async function probeSubgroups(gpu: Gpu): Promise<SubgroupProbe> {
  const { device } = gpu;
  const no = (why: string) => ({ works: false, why });
  if (!device.features.has("subgroups" as GPUFeatureName)) return no("the feature is not granted");
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: gpu.source(PROBE) });
  const pending = device.createComputePipelineAsync({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  }).catch((error: Error) => error);
  const scope = await device.popErrorScope();
  const pipeline = await pending;
  if (scope) return no(`does not compile: ${scope.message}`);
  if (pipeline instanceof Error) return no(`does not compile: ${pipeline.message}`);
  const size = 8 * INVOCATIONS;
  const y = device.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const read = device.createBuffer({
    size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: y } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(y, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  const words = new Uint32Array(read.getMappedRange().slice(0));
  for (const buffer of [y, read]) buffer.destroy();
  gpu.check();
  return judge(words);
}

/** Subgroups that count their members rightly are those that share a first one. */
export function judge(words: Uint32Array): SubgroupProbe {
  const members = new Map<number, number>();
  for (let i = 1; i < words.length; i += 2) {
    members.set(words[i], (members.get(words[i]) ?? 0) + 1);
  }
  const wrong = words.findIndex((count, i) => i % 2 === 0 && count !== members.get(words[i + 1]));
  return wrong < 0 ? { works: true, why: "" } : {
    works: false,
    why: `computes wrongly: a subgroup of ${members.get(words[wrong + 1])} counts ${words[wrong]}`,
  };
}
