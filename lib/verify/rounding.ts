/** How far rounding moves a graph's outputs: what no implementation of that precision can undercut. */

import type { After } from "../graph/interpret.ts";
import type { Node } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import type { Check } from "./case.ts";

/**
 * How many times the largest of three roundings is allowed: sums round more than their results, and
 * divisions and roots of GPUs are right to a few places only. Software Vulkan stays within three times.
 */
const ALLOWED = 8;

/**
 * Raises tolerances to what float32 can know, where terms cancel: a group norm of two numbers, optimizer
 * steps of tiny gradients. The computation runs in float64, and again with every number that an op
 * computes rounded to float32 (to the nearest, towards zero, away from it); some multiple of what that
 * changes is allowed. As a wide tolerance hides errors, each of these comparisons gets another one
 * beside it, of the float64 run, for which the tolerance stays as it was.
 *
 * @param checks those of the device.
 * @param run on the CPU in float64; hands `after` to `interpret`.
 * @param errors of a run, a number for each check, against a run or, without one, against the reference.
 * @param nudged a float64 run whose inputs are off by a float32 place, where the reference's are others
 *   by as much.
 */
export function withRounding<R>(
  checks: readonly Check[],
  run: (after: After) => R,
  errors: (of: R, goal?: R) => number[],
  nudged?: (after: After) => R,
): Check[] {
  // The reference has the sinusoid of the timestep in float32.
  const asReference: After = (values, { op }) =>
    op === "timestep_embedding" ? values.map(Math.fround) : values;
  const exact = run(asReference);
  const others = nudged && errors(nudged(asReference), exact);
  const moved = MODES.map((mode) => errors(run(rounding(mode)), exact));
  const own = errors(exact);
  return checks.flatMap((check, i) => {
    const tolerance = ALLOWED * Math.max(...moved.map((of) => of[i]));
    if (!(tolerance > check.tolerance)) return [check];
    return [
      { ...check, tolerance, conditioned: true },
      {
        ...check,
        name: `${check.name} (in float64)`,
        error: own[i],
        tolerance: Math.max(check.tolerance, ALLOWED * (others?.[i] ?? 0)),
      },
    ];
  });
}

type Mode = (v: number) => number;

/** The float32 next to v on the side of zero. */
function towardsZero(v: number): number {
  const nearest = Math.fround(v);
  return Math.abs(nearest) <= Math.abs(v) ? nearest : nearest * (1 - 2 ** -24);
}

const MODES: readonly Mode[] = [
  Math.fround,
  (v) => Math.fround(towardsZero(v)),
  (v) => v === Math.fround(v) ? v : Math.fround(Math.fround(towardsZero(v)) * (1 + 2 ** -23)),
];

function rounding(mode: Mode): After {
  return (values, node, i) =>
    isComputed(node) && node.outputs[i].dtype === "f32" ? values.map(mode) : values;
}

/** Views and copies round nothing. */
function isComputed({ op, inputs, outputs, attrs }: Node): boolean {
  return OPS[op].cost(inputs, outputs, attrs).flops > 0;
}
