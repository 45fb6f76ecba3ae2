/** Graph → Plan, pass by pass. Needs no GPU. */

import type { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import { elideConcats } from "./concat_elision.ts";
import { emit } from "./emit.ts";
import { lower, type PlanOptions } from "./lower.ts";
import { assignMemory } from "./memory.ts";
import type { Plan } from "./plan.ts";
import { keepInTextures } from "./texture_residency.ts";
import { constantStates, numberValues } from "./value_numbering.ts";

/**
 * Lays out one run of a graph for a device: every dispatch, every buffer.
 *
 * @example
 * ```ts
 * import { DEFAULT_PROFILE, f32, Graph, OPS, plan, planBytes, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", silu(g.input("x", f32(64))));
 * planBytes(plan(g, OPS, { device: DEFAULT_PROFILE })); // of device memory
 * ```
 */
export function plan(graph: Graph, registry: Registry, options: PlanOptions): Plan {
  graph.verify(registry);
  // Live nodes, their aliases, a variant for each and the kernel calls of that.
  const schedule = lower(graph, registry, options);
  // Joined images that all readers can read in parts are never made.
  elideConcats(schedule);
  // What several nodes would make alike is made once; what never changes, once for all runs.
  numberValues(schedule, constantStates(schedule));
  // What is read as a texture only stays in one, and gives its buffer back.
  keepInTextures(schedule);
  // Buffers, shared by what does not live at the same time.
  const memory = assignMemory(schedule);
  // Dispatches, with the copies to textures that each needs first.
  return emit(schedule, memory);
}
