/** From nothing to the first training step, with a driver that has and has not seen the shaders. */

import { openGpu } from "../gpu/device.ts";
import { tunedChoice } from "../tune/choice_files.ts";
import { benchConfig, benchStep, LoadedStep } from "./steps.ts";

export interface FirstStep {
  /** Milliseconds from opening the GPU to the end of the first step. */
  readonly total: number;
  readonly compile: number;
  /** Most memory that the process held, and what the plan holds on the device, in bytes. */
  readonly residentPeak: number;
  readonly planned: number;
}

export interface FirstSteps {
  readonly preset: string;
  readonly cold: FirstStep;
  readonly warm: FirstStep;
}

/** Runs in a process of its own: what it prints last is a FirstStep as JSON. */
export async function firstStep(preset: string, batch: number, size: number): Promise<FirstStep> {
  const start = performance.now();
  const gpu = await openGpu();
  const options = { device: gpu.profile, choose: await tunedChoice(gpu) };
  const step = benchStep("train", benchConfig(batch, size, preset), options);
  const before = performance.now();
  const loaded = await LoadedStep.load(gpu, step, { ahead: true });
  const compile = performance.now() - before;
  await loaded.time();
  const total = performance.now() - start;
  await loaded.requireFinite();
  return { total, compile, residentPeak: residentPeak(), planned: loaded.bytes };
}

function residentPeak(): number {
  try {
    const status = Deno.readTextFileSync("/proc/self/status");
    return 1024 * Number(status.match(/VmHWM:\s*(\d+)/)?.[1] ?? NaN);
  } catch {
    return Deno.memoryUsage().rss; // not on Linux
  }
}
