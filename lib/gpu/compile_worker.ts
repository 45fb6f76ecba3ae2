/** What compile_ahead.ts starts: runs each shader of a message once, on next to nothing, and ends. */

import type { CompileJobs } from "./compile_ahead.ts";
import { type Gpu, openGpu } from "./device.ts";
import { pipelineFor } from "./pipelines.ts";
import { STAGED_FORMATS, STAGING_PITCH } from "../plan/staging_layout.ts";

/** Bytes of what stands in for a tensor. What lies outside reads as zero and is not written. */
const BYTES = 2 ** 16;

async function compile(jobs: CompileJobs): Promise<void> {
  const gpu = await openGpu();
  try {
    await runAll(gpu, jobs);
  } finally {
    gpu.destroy();
  }
}

async function runAll(gpu: Gpu, { jobs, params }: CompileJobs): Promise<void> {
  const { device } = gpu;
  const pipelines = await Promise.all(jobs.map(({ shader }) => pipelineFor(gpu, shader)));
  const { STORAGE, UNIFORM, COPY_DST } = GPUBufferUsage;
  const words = device.createBuffer({ size: params.byteLength, usage: UNIFORM | COPY_DST });
  device.queue.writeBuffer(words, 0, params);
  // One for each binding: a kernel may not read what it writes.
  const buffers = new Map<number, GPUBuffer>();
  const bufferAt = (binding: number) => {
    const known = buffers.get(binding) ??
      device.createBuffer({ size: BYTES, usage: STORAGE | UNIFORM });
    buffers.set(binding, known);
    return known;
  };
  const textures = Object.fromEntries(
    Object.entries(STAGED_FORMATS).map(([dtype, format]) => [
      dtype,
      device.createTexture({
        size: [STAGING_PITCH, 3],
        format,
        usage: GPUTextureUsage.STORAGE_BINDING,
      }).createView(),
    ]),
  );
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  jobs.forEach(({ bindings }, i) => {
    pass.setPipeline(pipelines[i]);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipelines[i].getBindGroupLayout(0),
        entries: bindings.map(({ binding, texture, range }) => ({
          binding,
          resource: texture
            ? textures[texture]
            : range
            ? { buffer: words, ...range }
            : { buffer: bufferAt(binding) },
        })),
      }),
    );
    pass.dispatchWorkgroups(1);
  });
  pass.end();
  device.queue.submit([encoder.finish()]);
  await gpu.idle();
}

/** Milliseconds that a first run may take before it is taken for compiling. */
const PATIENCE = 700;

let patience: ReturnType<typeof setTimeout> | undefined;

async function end(outcome: string | Promise<string>): Promise<void> {
  clearTimeout(patience);
  postMessage(await outcome);
  close();
}

addEventListener("message", ({ data }: MessageEvent<CompileJobs | "stop">) => {
  if (data === "stop") {
    // What has begun ends by itself: a driver that is stopped while it compiles may crash.
    if (patience !== undefined) end("not needed");
    return;
  }
  patience = setTimeout(() => {
    patience = undefined;
    // Whatever goes wrong here, the one who asked compiles for itself.
    end(compile(data).then(() => "compiled", (e: Error) => e.message));
  }, PATIENCE);
});
