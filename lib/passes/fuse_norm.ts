/**
 * Graph → Graph, after differentiation, fusion and recomputation: group normalisation with SiLU in the
 * load of the convolution that alone reads it. Where the backward pass reads it too, it is kept.
 */

import type { Graph } from "../graph/graph.ts";
import { attrsOf, type Registry } from "../graph/op.ts";
import type { Node, Tensor } from "../graph/tensor.ts";
import type { Conv2dAttrs } from "../ops/conv2d/geometry.ts";
import { conv2dOp } from "../ops/conv2d/op.ts";
import { conv2dNormalisedOp } from "../ops/conv2d/normalised.ts";
import { groupNormApplyOp } from "../ops/group_norm/op.ts";
import { GraphCopy } from "./copy.ts";
import { readerCounts } from "./fuse.ts";

/** The graph in which convolutions that `suits` is true of normalise as they read. */
export function normaliseInLoads(
  graph: Graph,
  registry: Registry,
  suits: (inputs: readonly Tensor[], attrs: Conv2dAttrs) => boolean,
): Graph {
  const readers = readerCounts(graph);
  const absorbed = new Set<Node>();
  for (const node of graph.nodes) {
    const attrs = attrsOf(node, conv2dOp);
    if (!attrs) continue;
    const [x] = node.inputs;
    const isNorm = attrsOf(x.node, groupNormApplyOp)?.silu;
    if (isNorm && readers.get(x.key) === 1 && suits(node.inputs, attrs)) absorbed.add(x.node);
  }
  if (!absorbed.size) return graph;

  const copy = new GraphCopy(registry);
  for (const node of graph.nodes) {
    if (absorbed.has(node)) continue;
    const [image, ...rest] = node.inputs;
    if (node.op === conv2dOp.name && absorbed.has(image.node)) {
      const [x, ...norm] = image.node.inputs;
      copy.copy(node, { op: conv2dNormalisedOp, inputs: [x, ...rest, ...norm].map(copy.moved) });
    } else copy.copy(node);
  }
  return copy.finish(graph);
}
