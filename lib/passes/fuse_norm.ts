/**
 * Graph → Graph, after differentiation, fusion and recomputation: group normalisation with SiLU in the
 * load of the convolution that alone reads it. Where the backward pass reads it too, it is kept.
 */

import { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import { readerCounts } from "./fuse.ts";
import type { Node, Tensor } from "../graph/tensor.ts";

/** The graph in which convolutions that `suits` is true of normalise as they read. */
export function normaliseInLoads(
  graph: Graph,
  registry: Registry,
  suits: (convolution: Node) => boolean,
): Graph {
  const readers = readerCounts(graph);
  const absorbed = new Set<Node>();
  for (const node of graph.nodes) {
    if (node.op !== "conv2d") continue;
    const [x] = node.inputs;
    const isNorm = x.node.op === "group_norm_apply" && x.node.attrs.silu;
    if (isNorm && readers.get(x.key) === 1 && suits(node)) absorbed.add(x.node);
  }
  if (!absorbed.size) return graph;

  const result = new Graph();
  const tensors = new Map<string, Tensor>();
  const moved = (t: Tensor) => tensors.get(t.key)!;
  for (const node of graph.nodes) {
    const { op, attrs, scope, phase, inputs } = node;
    if (absorbed.has(node)) continue;
    const normalised = op === "conv2d" && absorbed.has(inputs[0].node);
    const outputs = op === "input" || op === "state"
      ? [result[op](attrs.name, node.outputs[0])]
      : result.within(scope, phase, () => {
        if (!normalised) return result.append(registry[op], inputs.map(moved), attrs);
        const [x, ...norm] = inputs[0].node.inputs;
        const all = [x, ...inputs.slice(1), ...norm].map(moved);
        return result.append(registry.conv2d_normalised, all, attrs);
      });
    outputs.forEach((t, i) => tensors.set(`${node.id}:${i}`, t));
  }
  for (const [name, t] of graph.outputs) result.output(name, moved(t));
  for (const [name, t] of graph.updates) result.update(name, moved(t));
  return result;
}
