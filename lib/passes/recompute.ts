/**
 * Graph → Graph, after differentiation: what is cheap to compute is computed again for the backward
 * pass rather than kept from the forward pass. The same kernels on the same numbers: every result
 * keeps its bits.
 */

import { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import type { Tensor } from "../graph/tensor.ts";

/** Ops that cost a pass over memory: normalisation with SiLU, joining, doubling of pixels. */
const CHEAP: ReadonlySet<string> = new Set(["concat", "group_norm_apply", "upsample_nearest_2x"]);

/**
 * The graph with a second copy of every cheap forward node that the backward pass reads, right before
 * its first reader there. About half of a UNet's activations need not be kept then; chains of cheap
 * nodes go back to what is kept.
 */
export function recompute(graph: Graph, registry: Registry): Graph {
  const result = new Graph();
  const tensors = new Map<string, Tensor>();
  const again = new Map<string, Tensor>();
  const kept = (t: Tensor): Tensor => tensors.get(t.key)!;

  const forBackward = (t: Tensor): Tensor => {
    const { node } = t;
    if (node.phase !== "forward" || !CHEAP.has(node.op)) return kept(t);
    const before = again.get(t.key);
    if (before) return before;
    const inputs = node.inputs.map(forBackward);
    const [copy] = result.within(
      node.scope,
      "backward",
      () => result.append(registry[node.op], inputs, node.attrs),
    );
    again.set(t.key, copy);
    return copy;
  };

  for (const node of graph.nodes) {
    const { op, attrs, scope, phase } = node;
    if (op === "input" || op === "state") {
      tensors.set(`${node.id}:0`, result[op](attrs.name, node.outputs[0]));
      continue;
    }
    const inputs = node.inputs.map(phase === "backward" ? forBackward : kept);
    const outputs = result.within(
      scope,
      phase,
      () => result.append(registry[op], inputs, attrs),
    );
    outputs.forEach((t, i) => tensors.set(`${node.id}:${i}`, t));
  }
  for (const [name, t] of graph.outputs) result.output(name, kept(t));
  for (const [name, t] of graph.updates) result.update(name, kept(t));
  return result;
}
