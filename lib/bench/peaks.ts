/** What the device can do at best, measured by kernels that do nothing else. */

import type { Gpu } from "../gpu/device.ts";
import type { Plan, PlanBinding } from "../plan/plan.ts";
import { Executable } from "../gpu/runtime.ts";
import { stagingRowBytes } from "../plan/staging_layout.ts";
import { packParams, shaderInterface, specialize } from "../plan/wgsl.ts";
import { gridFor, type KernelSource } from "../graph/kernel_call.ts";
import { clockOf, timeRuns } from "./clock.ts";
import { quantile } from "./statistics.ts";
import { storing, storingOn } from "../ops/common/subgroup_sharing.ts";
import copyText from "../../kernels/bench/copy.wgsl" with { type: "text" };
import copyStagedText from "../../kernels/bench/copy_staged.wgsl" with { type: "text" };
import multiplyAddText from "../../kernels/bench/multiply_add.wgsl" with { type: "text" };
import stagedText from "../../kernels/lib/staged.wgsl" with { type: "text" };

const MULTIPLY_ADD = { file: "kernels/bench/multiply_add.wgsl", text: multiplyAddText };
/** Stored as the kernels store that are compared with it. */
const COPY = storing("bench/copy.wgsl", copyText);
const COPY_STAGED = storing("bench/copy_staged.wgsl", copyStagedText, stagedText);

/** Figures of one measurement. */
interface Measured {
  /** Multiplications and additions a second, / 1e9. */
  readonly gflops: number;
  /** Bytes read and written a second, / 1e9. */
  readonly copies: { readonly storage: number; readonly staged: number };
}

/** The highest of all measurements. */
export interface Peaks extends Measured {
  /** The faster of the two ways to copy. */
  readonly gigabytes: number;
  /** The lowest: how much the machine, or what else runs on it, changed meanwhile. */
  readonly lowest: Measured;
}

const WORKGROUP = 64;
const ACCUMULATORS = 8;
const UNROLLED = 8;
const COPY_BYTES = 2 ** 26;

interface Probe {
  readonly kernel: KernelSource;
  readonly specialize?: Readonly<Record<string, string>>;
  readonly params: Readonly<Record<string, number>>;
  /** Bytes behind every variable but `params`. */
  readonly bytes: Readonly<Record<string, number>>;
  readonly invocations: number;
}

/** A plan of one dispatch, which needs no graph. */
function probePlan({ kernel, specialize: values, params, bytes, invocations }: Probe): Plan {
  const { bindings } = shaderInterface(kernel);
  const words = packParams(kernel, params);
  const buffers: Plan["buffers"][number][] = [];
  const placed = bindings.map(({ binding, name, access }): PlanBinding => {
    const size = name === "params" ? words.length * 4 : bytes[name];
    const role = name === "params" ? "params" : "arena";
    const buffer = buffers.push({ bytes: size, role, name }) - 1;
    return {
      binding,
      name,
      buffer,
      offset: 0,
      size,
      ...(access === "texture" ? { texture: 0 } : {}),
    };
  });
  const staged = placed.filter((b) => b.texture !== undefined);
  return {
    buffers,
    textures: staged.map((b) => ({
      dtype: "f32",
      rows: Math.ceil(b.size / stagingRowBytes("f32")) | 1,
    })),
    shaders: [{
      file: kernel.file,
      text: specialize(kernel, values),
      constants: { WORKGROUP },
      layout: bindings.map(({ binding, access }) => ({ binding, access })),
    }],
    dispatches: [{
      shader: 0,
      bindings: placed,
      workgroups: gridFor(invocations, WORKGROUP),
      stage: staged.map(({ buffer, offset, size }) => ({ buffer, offset, size, texture: 0 })),
      node: 0,
      op: "probe",
      scope: kernel.file,
      phase: "forward",
      variant: "",
      note: "",
    }],
    params: [...words],
    inputs: {},
    states: {},
    outputs: {},
    copies: [],
    tensors: {},
  };
}

/** Nanoseconds of the fastest of some runs. */
async function fastest(gpu: Gpu, probe: Probe, runs: number): Promise<number> {
  const exe = await Executable.load(gpu, probePlan(probe));
  try {
    const clock = clockOf(gpu);
    await timeRuns(exe, 1, clock);
    return 1e6 * Math.min(...await timeRuns(exe, runs, clock));
  } finally {
    exe.destroy();
  }
}

const multiplyAddProbe = (
  lanes: 1 | 2 | 4,
  { invocations, rounds }: { readonly invocations: number; readonly rounds: number },
): Probe => ({
  kernel: MULTIPLY_ADD,
  specialize: { Value: lanes === 1 ? "f32" : `vec${lanes}<f32>` },
  params: { rounds, factor: 0.5, summand: 0.5 },
  bytes: { y: invocations * 16 },
  invocations,
});

const copyProbe = (kernel: KernelSource, bytes: number): Probe => ({
  kernel,
  params: { count4: bytes / 16 },
  bytes: { x: bytes, y: bytes },
  invocations: bytes / 16,
});

/** Operations a nanosecond of the multiply-add kernel, the best of three widths. */
async function multiplyAdd(gpu: Gpu, runs: number): Promise<number> {
  let best = 0;
  for (const lanes of [1, 2, 4] as const) {
    // Enough invocations to fill any device; so many rounds that a dispatch takes milliseconds.
    const invocations = gpu.profile.software ? 2 ** 15 : 2 ** 20;
    const rounds = 256 / lanes;
    const probe = multiplyAddProbe(lanes, { invocations, rounds });
    const nanoseconds = await fastest(gpu, probe, runs);
    const flops = 2 * lanes * ACCUMULATORS * UNROLLED * rounds * invocations;
    best = Math.max(best, flops / nanoseconds);
  }
  return best;
}

/** Measures the peaks. A few tenths of a second; the best of `runs` runs each. */
export async function measurePeaks(gpu: Gpu, runs = 5): Promise<Peaks> {
  const most = gpu.profile.limits.maxStorageBufferBindingSize;
  const bytes = Math.min(COPY_BYTES, 2 ** Math.floor(Math.log2(most)));
  const copy = async (kernel: KernelSource) =>
    2 * bytes / await fastest(gpu, copyProbe(kernel, bytes), runs);
  const sharing = storingOn(gpu.profile);
  const storage = await copy(COPY[sharing]);
  const staged = await copy(COPY_STAGED[sharing]);
  const measured = { gflops: await multiplyAdd(gpu, runs), copies: { storage, staged } };
  return { ...measured, gigabytes: Math.max(storage, staged), lowest: measured };
}

const each = (pick: (...of: number[]) => number, a: Measured, b: Measured): Measured => ({
  gflops: pick(a.gflops, b.gflops),
  copies: {
    storage: pick(a.copies.storage, b.copies.storage),
    staged: pick(a.copies.staged, b.copies.staged),
  },
});

/** The better of two measurements: a peak seen at any time is one. */
export const higherPeaks = (a: Peaks, b: Peaks): Peaks => ({
  ...each(Math.max, a, b),
  gigabytes: Math.max(a.gigabytes, b.gigabytes),
  lowest: each(Math.min, a.lowest, b.lowest),
});

/** Fixed kernels, short ones, that are timed beside others: how fast the machine is just then. */
export class Calibration {
  readonly compute: Executable;
  readonly copy: Executable;

  private constructor(compute: Executable, copy: Executable) {
    [this.compute, this.copy] = [compute, copy];
  }

  static async load(gpu: Gpu): Promise<Calibration> {
    const { software, limits } = gpu.profile;
    const invocations = software ? 2 ** 13 : 2 ** 18;
    const bytes = Math.min(software ? 2 ** 22 : 2 ** 26, limits.maxStorageBufferBindingSize);
    const probes = [
      multiplyAddProbe(4, { invocations, rounds: 64 }),
      copyProbe(COPY[storingOn(gpu.profile)], bytes),
    ].map((probe) => Executable.load(gpu, probePlan(probe)));
    const [compute, copy] = await Promise.all(probes);
    return new Calibration(compute, copy);
  }

  /** Milliseconds of each, that a fifth of some runs beat. */
  async time(): Promise<{ compute: number; copy: number }> {
    const of = async (exe: Executable) =>
      quantile(await timeRuns(exe, RUNS, clockOf(exe.gpu)), 0.2);
    return { compute: await of(this.compute), copy: await of(this.copy) };
  }

  destroy(): void {
    for (const exe of [this.compute, this.copy]) exe.destroy();
  }
}

/** Runs of a fixed kernel beside each block. */
const RUNS = 5;

/** Copies more than any cache holds, so that what was in there is no longer. */
export async function loadFlush(gpu: Gpu): Promise<Executable> {
  const bytes = Math.min(2 * COPY_BYTES, gpu.profile.limits.maxStorageBufferBindingSize);
  return await Executable.load(gpu, probePlan(copyProbe(COPY[storingOn(gpu.profile)], bytes)));
}
