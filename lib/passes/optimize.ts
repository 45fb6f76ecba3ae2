/** From the graph of a model to the form in which a device runs it. */

import type { Graph } from "../graph/graph.ts";
import { normaliseInLoads } from "./fuse_norm.ts";
import type { DeviceKind } from "../graph/op.ts";
import type { Precision } from "../graph/tensor.ts";
import { storesHalf, withPrecision } from "./precision.ts";
import { recompute } from "./recompute.ts";
import { fuse } from "./fuse.ts";
import { normalisesInLoad } from "../ops/conv2d/normalised.ts";
import { OPS } from "../ops/mod.ts";

export interface FormOptions {
  readonly precision?: Precision;
  readonly device: DeviceKind;
  /** Computes cheap activations again for the backward pass, for less memory. */
  readonly recompute?: boolean;
}

/** The same values, with fewer passes over memory. After differentiation, before planning. */
export function formOf(graph: Graph, options: FormOptions): Graph {
  const { precision, device } = options;
  let form = fuse(graph, OPS).graph;
  if (options.recompute) form = recompute(form, OPS);
  // With f16 more memory on software: x would have to be f32, and where it is normalised before it is f16.
  if (!storesHalf(form, precision, device) || !device.software) {
    form = normaliseInLoads(form, OPS, (c) => normalisesInLoad(c, device));
  }
  return withPrecision(form, OPS, precision, device);
}
