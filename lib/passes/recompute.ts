/**
 * Graph → Graph, after differentiation: what is cheap to compute is computed again for the backward
 * pass rather than kept from the forward pass. The same kernels on the same numbers: every result
 * keeps its bits.
 */

import type { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import type { Tensor } from "../graph/tensor.ts";
import { GraphCopy } from "./copy.ts";

/** Ops that cost a pass over memory: normalisation with SiLU, joining, doubling of pixels. */
const CHEAP: ReadonlySet<string> = new Set(["concat", "group_norm_apply", "upsample_nearest_2x"]);

/**
 * The graph with a second copy of every cheap forward node that the backward pass reads, right before
 * its first reader there. About half of a UNet's activations need not be kept then; chains of cheap
 * nodes go back to what is kept.
 */
export function recompute(graph: Graph, registry: Registry): Graph {
  const copy = new GraphCopy(registry);
  const again = new Map<string, Tensor>();

  const forBackward = (t: Tensor): Tensor => {
    const { node } = t;
    if (node.phase !== "forward" || !CHEAP.has(node.op)) return copy.moved(t);
    const before = again.get(t.key);
    if (before) return before;
    const inputs = node.inputs.map(forBackward);
    const [made] = copy.append(node, { inputs, phase: "backward" });
    again.set(t.key, made);
    return made;
  };

  for (const node of graph.nodes) {
    copy.copy(node, node.phase === "backward" ? { inputs: node.inputs.map(forBackward) } : {});
  }
  return copy.finish(graph);
}
