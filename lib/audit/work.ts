/** How a node's floating-point operations are shared among the dispatches that compute it. */

import type { PlanDispatch, PlanShader } from "../plan/plan.ts";

/** Kernels that only move numbers: weights into panels, rows to another length. */
const MOVES = /\/(pack|resize|copy|transpose)\w*\.wgsl$/;
/** Kernels that add up what others left in slices: an addition for every number read. */
const SUMS = /\/sum_(slices|partials)\w*\.wgsl$/;

/**
 * The part of a node's FLOPs that each of its dispatches does; the parts add up to 1 where the node
 * has any. A plan does not say how much a dispatch computes, so: kernels that move count nothing,
 * sums of slices one addition a number read, and the rest share by their number of workgroups.
 */
export function shares(
  calls: readonly PlanDispatch[],
  shaders: readonly PlanShader[],
  flops: number,
): number[] {
  if (calls.length === 1) return [1];
  const file = (d: PlanDispatch) => shaders[d.shader].file;
  const fixed = calls.map((d) => {
    if (MOVES.test(file(d))) return 0;
    if (!SUMS.test(file(d)) || flops === 0) return undefined;
    const read = d.bindings.find((b) => b.name === "partial")?.size ?? 0;
    return Math.min(read / 4 / flops, 0.5 / calls.length);
  });
  const rest = 1 - fixed.reduce((sum: number, f) => sum + (f ?? 0), 0);
  const groups = calls.map((d, i) =>
    fixed[i] === undefined ? d.workgroups[0] * d.workgroups[1] * d.workgroups[2] : 0
  );
  const all = groups.reduce((a, b) => a + b, 0);
  if (all === 0) return calls.map(() => 1 / calls.length);
  return calls.map((_, i) => fixed[i] ?? rest * groups[i] / all);
}
