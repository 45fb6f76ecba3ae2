/** A step on one small image beside the step itself: what runs in the one is checked in the other. */

import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/tensor.ts";
import type { RunConfig } from "../train/config.ts";
import type { UNet2DConfig } from "../nn/config.ts";

/** Pixels of a small image: float64 references take some milliseconds each. */
const SMALL_PIXELS = 1024;

/**
 * As wide as [height, width] and as low as the levels of the model allow: kernels are chosen by widths,
 * so a step on such an image runs those of the large one.
 */
export function smallImage(
  unet: Pick<UNet2DConfig, "block_out_channels">,
  [height, width]: readonly number[],
): [height: number, width: number] {
  const unit = 2 ** (unet.block_out_channels.length - 1);
  const rows = Math.max(unit, Math.floor(SMALL_PIXELS / width / unit) * unit);
  return [Math.min(height, rows), width];
}

/** One such image instead of the config's batch. */
export const smallConfig = (config: RunConfig): RunConfig => ({
  ...config,
  train_batch_size: 1,
  resolution: smallImage(config.unet, config.resolution),
});

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
