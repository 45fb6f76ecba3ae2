/** Multi-head attention on channel-first tensors, without a score matrix in memory. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, Tensor } from "../../graph/tensor.ts";
import { attentionBackwardOp } from "./backward.ts";
import { type AttentionAttrs, dimensions, requireAttention } from "./geometry.ts";
import { f32 } from "../common/checks.ts";
import { attentionReference } from "./reference.ts";
import { lowerAttention } from "./lower.ts";
import { attentionCases } from "./cases.ts";

/** Heads and scale of {@link attention}. */
export interface AttentionOptions {
  /** Head h owns channels h·C/heads to (h + 1)·C/heads. */
  readonly heads: number;
  /** Of the scores; default 1/√(C/heads). */
  readonly scale?: number;
}

/**
 * softmax(scale·qᵀk)·v per head; q, k, v and the result [N,C,T] or [N,C,H,W].
 *
 * @example
 * ```ts
 * import { attention, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const [q, k, v] = ["q", "k", "v"].map((name) => g.input(name, f32(1, 1, 2)));
 * g.output("y", attention(q, k, v, { heads: 1 }));
 * interpret(g, OPS, { q: [0, 0], k: [1, 2], v: [3, 5] }).outputs.get("y"); // [4, 4]
 * ```
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { heads, scale = 1 / Math.sqrt(q.shape[1] / heads) }: AttentionOptions,
): Tensor {
  return q.graph.append(attentionOp, [q, k, v], { heads, scale })[0];
}

export const attentionOp: OpDef<AttentionAttrs> = {
  name: "attention",
  /** y, and the logarithm of each query's sum of exponentials [N,heads,T] for the backward pass. */
  infer([q, k, v], { heads }) {
    requireAttention({ q, k, v }, heads);
    const { batch, tokens } = dimensions(q, heads);
    return [q, f32(batch, heads, tokens)];
  },
  half: () => [{ inputs: [0, 1, 2], outputs: [0], rereads: true }],
  vjp(node, [dy, dlogsumexp]) {
    if (dlogsumexp) throw new Error("attention has no gradient by way of its logsumexp");
    const { inputs, attrs } = node;
    const { graph } = inputs[0];
    // The node's own two outputs.
    const [y, logsumexp] = [0, 1].map((i) => new Tensor(graph, node, i));
    return graph.append(attentionBackwardOp, [...inputs, y, logsumexp, dy!], attrs);
  },
  reference: attentionReference,
  lower: lowerAttention,
  cost(inputs, outputs) {
    const [, , tokens] = outputs[1].shape;
    return { flops: 4 * sizeOf(inputs[0].shape) * tokens, bytes: trafficOf(inputs, outputs) };
  },
  cases: attentionCases,
};
