/** Graph → Graph, after differentiation and before planning: as the device runs it fastest. */

import type { Graph } from "../graph/graph.ts";
import { normaliseInLoads } from "./fuse_norm.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Precision } from "../graph/tensor.ts";
import { storesHalf, withPrecision } from "./precision.ts";
import { recompute } from "./recompute.ts";
import { fuse } from "./fuse.ts";
import { normalisesInLoad } from "../ops/conv2d/normalised.ts";
import { OPS } from "../ops/mod.ts";

export interface OptimizeOptions {
  readonly precision?: Precision;
  readonly device: DeviceKind;
  /** Computes cheap activations again for the backward pass, for less memory. */
  readonly recompute?: boolean;
}

/** The passes in order. The same values, with fewer passes over memory. */
export function optimize(graph: Graph, options: OptimizeOptions): Graph {
  const { precision, device } = options;
  // Additions into the stores of convolutions, equal sums once, a loss with its gradient.
  let optimized = fuse(graph, OPS).graph;
  // Cheap activations again where the backward pass reads them, if asked.
  if (options.recompute) optimized = recompute(optimized, OPS);
  // Group norms into the loads of convolutions. With f16 that takes more memory on software: x would
  // have to be f32, and where it is normalised before it is f16.
  if (!storesHalf(optimized, precision, device) || !device.software) {
    optimized = normaliseInLoads(optimized, OPS, (...conv) => normalisesInLoad(...conv, device));
  }
  // Images and their gradients as f16, if asked.
  return withPrecision(optimized, OPS, precision, device);
}
