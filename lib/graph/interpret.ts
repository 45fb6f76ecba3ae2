/** The oracle: any graph, run in float64 on the CPU from each op's reference. */

import type { Graph } from "./graph.ts";
import type { Registry } from "./op.ts";
import { type Node, show, sourceName, type Tensor } from "./tensor.ts";

/** What a run on the CPU gave, in float64. */
export interface Interpretation {
  /** By name. */
  readonly outputs: Map<string, Float64Array>;
  /** By name, after the run. */
  readonly states: Map<string, Float64Array>;
  /** The value of any tensor of the graph. */
  value(tensor: Tensor): Float64Array;
}

/**
 * What becomes of a node's i-th result.
 * @internal
 */
export type After = (values: Float64Array, node: Node, i: number) => Float64Array;

/**
 * Runs the graph once. `feeds` holds every input and state by name, row-major; states are not
 * changed, the new ones are returned.
 *
 * @param after itself by default.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, scale } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", scale(g.input("x", f32(2)), 2));
 * interpret(g, OPS, { x: [1, 2] }).outputs.get("y"); // [2, 4]
 * ```
 */
export function interpret(
  graph: Graph,
  registry: Registry,
  feeds: Readonly<Record<string, ArrayLike<number>>>,
  after: After = (values) => values,
): Interpretation {
  const values = new Map<string, Float64Array>();
  for (const node of graph.nodes) {
    const name = sourceName(node);
    if (name !== undefined) {
      const feed = feeds[name];
      const size = node.outputs[0].shape.reduce((a, b) => a * b, 1);
      if (!feed || feed.length !== size) {
        throw new Error(
          `Cannot interpret: ${show(name, node.outputs[0])} was given ` +
            `${feed ? feed.length : "no"} values, required ${size}`,
        );
      }
      values.set(`${node.id}:0`, Float64Array.from(feed));
      continue;
    }
    const inputs = node.inputs.map((t) => values.get(t.key)!);
    const results = registry[node.op].reference(inputs, node.attrs, node.inputs, node.outputs);
    results.forEach((r, i) => values.set(`${node.id}:${i}`, after(r, node, i)));
  }
  const pick = (table: Map<string, Tensor>) =>
    new Map([...table].map(([name, t]) => [name, values.get(t.key)!]));
  const states = pick(graph.states);
  for (const [name, t] of graph.updates) states.set(name, values.get(t.key)!);
  return { outputs: pick(graph.outputs), states, value: (t) => values.get(t.key)! };
}
