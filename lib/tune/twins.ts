/** A step on one small image beside the step itself: what runs in the one is checked in the other. */

import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/tensor.ts";
import type { RunConfig } from "../train/config.ts";

/** Pixels of a small image: float64 references take some milliseconds each. */
const SMALL_PIXELS = 1024;

/**
 * One image, as wide as the config's own and as low as its levels allow: kernels are chosen by widths,
 * so the small step runs those of the large one.
 */
export function smallConfig(config: RunConfig): RunConfig {
  const [height, width] = config.resolution;
  const unit = 2 ** (config.unet.block_out_channels.length - 1);
  const rows = Math.max(unit, Math.floor(SMALL_PIXELS / width / unit) * unit);
  return { ...config, train_batch_size: 1, resolution: [Math.min(height, rows), width] };
}

/**
 * Node of a step's graph → node of the small step's that does the same work. A batch that is sampled
 * in parts has several for one; what joins and cuts the parts has none.
 */
export function twins(graph: Graph, small: Graph): Map<Node, Node> {
  const keyOf = ({ op, scope, phase }: Node) => `${phase} ${op} ${scope}`;
  const known = Map.groupBy(small.nodes, keyOf);
  const seen = new Map<string, number>();
  const found = new Map<Node, Node>();
  for (const node of graph.nodes) {
    const key = keyOf(node);
    const ordinal = seen.get(key) ?? 0;
    seen.set(key, ordinal + 1);
    const all = known.get(key);
    if (all) found.set(node, all[ordinal % all.length]);
  }
  return found;
}
