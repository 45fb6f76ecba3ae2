/** Choosing kernels the first time that a GPU is used, for a short while. */

import type { Gpu } from "../gpu/device.ts";
import { liveNodes } from "../gpu/planner.ts";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { choicesPath, writeChoices } from "./choice_files.ts";
import { tune, tuneJobs, type TuneResult } from "./tune.ts";
import { twins } from "./twins.ts";

/** Seconds that a first use may take at most. */
export const FIRST_USE_SECONDS = 20;

/** A step's graph and that of the same step on a small image (`lib/bench/small.ts`). */
export interface TunedStep {
  readonly graph: Graph;
  readonly small: Graph;
}

/** What the nodes of steps leave to choose. */
export function jobsOf(gpu: Gpu, steps: readonly TunedStep[]): ReturnType<typeof tuneJobs> {
  return tuneJobs(
    gpu,
    steps.flatMap(({ graph, small }) => {
      const twinOf = twins(graph, small);
      const hasTwin = (n: Node) => n.op in OPS && twinOf.has(n);
      return liveNodes(graph).filter(hasTwin).map((node) => {
        const { cost } = OPS[node.op as keyof typeof OPS];
        const { flops } = cost(node.inputs, node.outputs, node.attrs);
        return { node, small: twinOf.get(node)!, flops };
      });
    }),
  );
}

/**
 * Measures what takes most of a step's time, and stores the choices, where nothing was ever stored for
 * this adapter and driver. Not on software devices: what is shipped was measured there; not where
 * only locked kernels may run, nothing can be timed, or nothing stored.
 *
 * @param steps called only if they are needed.
 * @param onStart told before the first measurement.
 */
export async function tuneOnFirstUse(
  gpu: Gpu,
  steps: () => readonly TunedStep[],
  { seconds = FIRST_USE_SECONDS, onStart = () => {}, onProgress }: {
    readonly seconds?: number;
    readonly onStart?: (path: string, shapes: number) => void;
    readonly onProgress?: (done: number, total: number, what: string) => void;
  } = {},
): Promise<TuneResult | undefined> {
  const { profile, name, accept } = gpu;
  if (profile.software || accept || !profile.features.includes("timestamp-query")) return;
  const path = choicesPath(profile, name);
  if (!path || await exists(path)) return;
  const jobs = jobsOf(gpu, steps());
  onStart(path, jobs.length);
  const result = await tune(gpu, jobs, { seconds, onProgress });
  // Also where nothing was found in time: the next use is not the first.
  await writeChoices(path, name, result.choices);
  return result;
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
