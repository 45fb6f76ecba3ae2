/** Two graphs of a step, of a batch and of one small image: what runs in one is checked in the other. */

import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/tensor.ts";

/**
 * Node of a step's graph → node of the small step's that does the same work. A batch that is sampled
 * in parts has several for one; what joins and cuts the parts has none. Views run nothing and have none:
 * those of parameters are made once for all parts.
 */
export function twins(graph: Graph, small: Graph): Map<Node, Node> {
  const keyOf = ({ op, scope, phase }: Node) => `${phase} ${op} ${scope}`;
  const known = Map.groupBy(small.nodes, keyOf);
  const seen = new Map<string, number>();
  const found = new Map<Node, Node>();
  for (const node of graph.nodes) {
    if (node.op === "view") continue;
    const key = keyOf(node);
    const ordinal = seen.get(key) ?? 0;
    seen.set(key, ordinal + 1);
    const all = known.get(key);
    if (all) found.set(node, all[ordinal % all.length]);
  }
  return found;
}
