/** Replays a step dispatch by dispatch and compares every result with float64 on the same inputs. */

import { CheckFailedError } from "../errors.ts";
import { decode } from "../gpu/data.ts";
import type { Executable } from "../gpu/runtime.ts";
import type { Graph } from "../graph/graph.ts";
import type { OpDef } from "../graph/op.ts";
import type { Node, Tensor, TensorType } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { allowedError } from "../tune/check.ts";
import { compare, coordinates, type Difference } from "./values.ts";

export interface NodeCheck extends Difference {
  readonly node: number;
  readonly op: string;
  readonly scope: string;
  readonly phase: string;
  readonly output: number;
  /** Dispatches [from, to) that compute the node. */
  readonly from: number;
  readonly to: number;
  readonly files: readonly string[];
  readonly shape: readonly number[];
  readonly worstAt: readonly number[];
  readonly tolerance: number;
  /** The tolerance was raised by what rounding the inputs once would do to the result. */
  readonly conditioned: boolean;
}

export interface CheckOptions {
  readonly onDispatch?: (done: number) => void;
  /** Only these nodes are compared; the others run. */
  readonly only?: (node: Node) => boolean;
}

/** A node's dispatches follow each other. */
export function nodeRanges(exe: Executable): { node: number; from: number; to: number }[] {
  const ranges: { node: number; from: number; to: number }[] = [];
  exe.plan.dispatches.forEach((d, i) => {
    const last = ranges.at(-1);
    if (last?.node === d.node) last.to = i + 1;
    else ranges.push({ node: d.node, from: i, to: i + 1 });
  });
  return ranges;
}

/**
 * Runs the step that is set up in the executable, once. After the last dispatch of each node its
 * outputs are read back and compared with the op's float64 reference on the inputs read back just
 * before; so an error is told where it is made and not where it shows.
 *
 * The tolerance of a node is the largest of its op's test cases. A sum of numbers that cancel may err
 * by more than that relative to the little that is left; there, sixteen times the change that one
 * float32 rounding of the inputs makes is allowed as well.
 */
export async function checkStep(
  graph: Graph,
  exe: Executable,
  options: CheckOptions = {},
): Promise<NodeCheck[]> {
  const checks: NodeCheck[] = [];
  for (const { node: id, from, to } of nodeRanges(exe)) {
    const node = graph.nodes[id];
    const def = OPS[node.op];
    const compared = options.only?.(node) ?? true;
    const inputs = compared ? await Promise.all(node.inputs.map((t) => valuesOf(t, exe))) : [];
    for (let i = from; i < to; i++) exe.run(i, i + 1);
    options.onDispatch?.(to);
    if (!compared) continue;
    const results = await Promise.all(
      node.outputs.map(async ({ dtype }, k) => decode(await exe.readBytes(`${id}:${k}`), dtype)),
    );
    const expected = def.reference(inputs, node.attrs, node.inputs, node.outputs);
    const base = toleranceOf(def, node, exe.plan.dispatches[from].variant, exe);
    let noise: number[] | undefined;
    results.forEach((got, k) => {
      const difference = compare(got, expected[k]);
      const { dtype } = node.outputs[k];
      const plain = allowedError(base, expected[k], dtype);
      let tolerance = plain;
      if (difference.relative > plain && difference.relative < Infinity) {
        noise ??= roundingNoise(def, node, inputs, expected);
        tolerance = allowedError(base + 16 * noise[k], expected[k], dtype);
      }
      checks.push({
        ...difference,
        node: id,
        op: node.op,
        scope: node.scope,
        phase: node.phase,
        output: k,
        from,
        to,
        files: [
          ...new Set(
            exe.plan.dispatches.slice(from, to).map((d) => exe.plan.shaders[d.shader].file),
          ),
        ],
        shape: node.outputs[k].shape,
        worstAt: coordinates(difference.worst, node.outputs[k].shape),
        tolerance,
        conditioned: tolerance > plain,
      });
    });
  }
  return checks;
}

/**
 * What the device holds; of a tensor without memory of its own, what its op's reference makes of
 * what the device holds of its inputs: so the copies that stand for the op are checked as well.
 */
async function valuesOf(t: Tensor, exe: Executable): Promise<Float64Array> {
  const { node, index, key, dtype } = t;
  const { pieces, home } = exe.plan.tensors[key];
  if (!pieces || home && exe.done > home.dispatch) return decode(await exe.readBytes(key), dtype);
  const inputs = await Promise.all(node.inputs.map((input) => valuesOf(input, exe)));
  const def = OPS[node.op];
  return def.reference(inputs, node.attrs, node.inputs, node.outputs)[index];
}

/** The largest that the op's cases allow the variant. */
function toleranceOf(def: OpDef, node: Node, variant: string, { gpu }: Executable): number {
  const { inputs, outputs, attrs } = node;
  const variants = def.lower({ inputs, outputs, attrs, device: gpu.profile });
  const exact = variants.find((v) => v.name === variant)?.exact ?? true;
  return Math.max(
    ...def.cases.map((c) => exact ? c.tolerance : c.inexactTolerance ?? c.tolerance),
  );
}

/** Relative change of each output when every float input is off by up to half a float32 place. */
function roundingNoise(
  def: OpDef,
  node: Node,
  inputs: readonly Float64Array[],
  expected: readonly Float64Array[],
): number[] {
  let state = 1;
  const sign = () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return state / 2 ** 31;
  };
  const rounded = inputs.map((values, i) =>
    isFloat(node.inputs[i]) ? values.map((v) => v * (1 + 2 ** -24 * sign())) : values
  );
  return def.reference(rounded, node.attrs, node.inputs, node.outputs)
    .map((values, k) => compare(values, expected[k]).relative);
}

const isFloat = ({ dtype }: TensorType) => dtype === "f32" || dtype === "f16";

/** Worst first: largest share of its tolerance. */
export const byShare = (checks: readonly NodeCheck[]): NodeCheck[] =>
  checks.toSorted((a, b) => shareOf(b) - shareOf(a));

/** 1 is the whole tolerance; where none is allowed, any error is infinitely much. */
export const shareOf = (c: NodeCheck): number =>
  c.tolerance > 0 ? c.relative / c.tolerance : c.relative > 0 ? Infinity : 0;

/** @throws CheckFailedError where a result is beyond its tolerance, or where there is none. */
export function requireWithin(checks: readonly NodeCheck[]): void {
  if (checks.length === 0) throw new CheckFailedError("nothing was compared");
  const bad = byShare(checks).filter((c) => !(shareOf(c) <= 1));
  if (bad.length === 0) return;
  throw new CheckFailedError(
    `${bad.length} results exceed their tolerance, the worst ${bad[0].op} ${bad[0].scope}`,
  );
}
