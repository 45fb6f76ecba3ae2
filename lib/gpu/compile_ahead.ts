/**
 * Machine code compiled on a second core. Software Vulkan compiles a kernel when it first runs, one
 * after the other, while the other cores wait. So a worker with a device of its own runs the kernels
 * of a plan as well, the last first; what one has compiled the other finds in the driver's cache of
 * shaders, and they meet halfway.
 */

import type { Gpu } from "./device.ts";
import type { Plan, PlanShader } from "../plan/plan.ts";
import type { StagedType } from "../plan/staging_layout.ts";

/** What the worker is told. */
export interface CompileJobs {
  readonly jobs: readonly {
    readonly shader: PlanShader;
    readonly bindings: readonly {
      readonly binding: number;
      /** Where a texture is bound. */
      readonly texture?: StagedType;
      /** Where it is a part of the parameters: drivers compile for their values. */
      readonly range?: { readonly offset: number; readonly size: number };
    }[];
  }[];
  readonly params: Uint32Array<ArrayBuffer>;
}

/** Each shader of the plan with the bindings of its first dispatch, the last first. */
export function compileJobs(plan: Plan): CompileJobs {
  const first = new Map<number, Plan["dispatches"][number]>();
  for (const d of plan.dispatches) if (!first.has(d.shader)) first.set(d.shader, d);
  const jobs = [...first].map(([shader, { bindings }]) => ({
    shader: plan.shaders[shader],
    bindings: bindings.map(({ binding, texture, buffer, offset, size }) => ({
      binding,
      ...(texture !== undefined
        ? { texture: plan.textures[texture].dtype }
        : plan.buffers[buffer].role === "params"
        ? { range: { offset, size } }
        : {}),
    })),
  }));
  return { jobs: jobs.reverse(), params: Uint32Array.from(plan.params.length ? plan.params : [0]) };
}

/** A worker that compiles, or will. */
export interface Ahead {
  /** Says that the plan has run: what was not begun need not be. */
  stop(): void;
  /** What became of it, in a word; it no longer runs then. */
  readonly outcome: Promise<string>;
}

/**
 * To be called before a plan's first run. Where that takes longer than a moment, it must be compiling,
 * and the worker helps; the thread that runs the plan may be blocked meanwhile. Nothing else changes:
 * if the worker fails, the device compiles all.
 */
export function compileAhead(gpu: Gpu, plan: Plan): Ahead {
  if (!gpu.profile.software || navigator.hardwareConcurrency < 2) {
    return { stop() {}, outcome: Promise.resolve("not needed") };
  }
  const worker = new Worker(new URL("./compile_worker.ts", import.meta.url), { type: "module" });
  worker.postMessage(compileJobs(plan));
  return {
    stop: () => worker.postMessage("stop"),
    outcome: new Promise((resolve) => {
      worker.addEventListener("message", ({ data }) => resolve(data));
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        resolve(event.message);
      });
    }),
  };
}
