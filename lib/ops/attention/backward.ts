/** The gradient of attention, recomputing probabilities from the stored logsumexp. */

import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf } from "../../graph/tensor.ts";
import { type AttentionAttrs, dimensions, requireAttention } from "./geometry.ts";
import { f32, requireSame } from "../common/checks.ts";
import { attentionBackwardReference } from "./backward_reference.ts";
import { lowerAttentionBackward } from "./backward_lower.ts";
import { attentionBackwardCases } from "./backward_cases.ts";

/** (q, k, v, y, logsumexp, dy) → (dq, dk, dv). */
export const attentionBackwardOp: OpDef<AttentionAttrs> = {
  name: "attention_backward",
  infer([q, k, v, y, logsumexp, dy], { heads }) {
    requireAttention({ q, k, v, y, dy }, heads);
    const { batch, tokens } = dimensions(q, heads);
    requireSame("logsumexp", logsumexp, "required", f32(batch, heads, tokens));
    return [q, q, q];
  },
  half: () => [{ inputs: [0, 1, 2, 3, 5], outputs: [0, 1, 2], rereads: true }],
  vjp: "non-differentiable",
  reference: attentionBackwardReference,
  lower: lowerAttentionBackward,
  cost(inputs, outputs) {
    const [, , tokens] = inputs[4].shape;
    return { flops: 14 * sizeOf(inputs[0].shape) * tokens, bytes: trafficOf(inputs, outputs) };
  },
  cases: attentionBackwardCases,
};
