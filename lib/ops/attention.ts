/** Multi-head attention on channel-first tensors, without a score matrix in memory. */

import { input, type KernelCall, output, scratch } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, Tensor } from "../graph/tensor.ts";
import { attentionBackwardOp, probabilities } from "./attention_backward.ts";
import {
  attentionGrid,
  dimensions,
  requireAttention,
  resizeRows,
  SHAPES,
} from "./attention_shared.ts";
import { f32, kernel, only } from "./common.ts";
import text from "../../kernels/attention/forward.wgsl" with { type: "text" };

const FORWARD = kernel("attention/forward.wgsl", text);

export interface AttentionOptions {
  /** Head h owns channels h·C/heads to (h + 1)·C/heads. */
  readonly heads: number;
  /** Of the scores; default 1/√(C/heads). */
  readonly scale?: number;
}

/** softmax(scale·qᵀk)·v per head; q, k, v and the result [N,C,T] or [N,C,H,W]. */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  { heads, scale = 1 / Math.sqrt(q.shape[1] / heads) }: AttentionOptions,
): Tensor {
  return q.graph.append(attentionOp, [q, k, v], { heads, scale })[0];
}

export const attentionOp: OpDef = {
  name: "attention",
  /** y, and the logarithm of each query's sum of exponentials [N,heads,T] for the backward pass. */
  infer([q, k, v], { heads }) {
    requireAttention({ q, k, v }, heads);
    const { batch, tokens } = dimensions(q, heads);
    return [q, f32(batch, heads, tokens)];
  },
  vjp(node, [dy, dlogsumexp]) {
    if (dlogsumexp) throw new Error("attention has no gradient by way of its logsumexp");
    const { inputs, attrs } = node;
    const { graph } = inputs[0];
    // The node's own two outputs.
    const [y, logsumexp] = [0, 1].map((i) => new Tensor(graph, node, i));
    return graph.append(attentionBackwardOp, [...inputs, y, logsumexp, dy!], attrs);
  },
  reference([q, k, v], { heads, scale }, [type]) {
    const { batch, headDim, tokens } = dimensions(type, heads);
    const y = new Float64Array(q.length);
    const logsumexp = new Float64Array(batch * heads * tokens);
    for (let h = 0; h < batch * heads; h++) {
      const { p, sums } = probabilities(q, k, h, headDim, tokens, scale);
      logsumexp.set(sums, h * tokens);
      for (let d = 0; d < headDim; d++) {
        const row = (h * headDim + d) * tokens;
        for (let i = 0; i < tokens; i++) {
          for (let j = 0; j < tokens; j++) y[row + i] += p[i * tokens + j] * v[row + j];
        }
      }
    }
    return [y, logsumexp];
  },
  lower({ inputs: [q], attrs: { heads, scale } }) {
    const { batch, headDim, tokens } = dimensions(q, heads);
    const [all, stride] = [batch * heads, Math.ceil(tokens / 4) * 4];
    const padded = stride !== tokens;
    return only("online", () => {
      const calls: KernelCall[] = [];
      if (padded) {
        [0, 1, 2].forEach((i) =>
          calls.push(resizeRows(all * headDim, tokens, stride, input(i), scratch(i)))
        );
      }
      const at = padded ? scratch : input;
      calls.push({
        kernel: FORWARD,
        specialize: { HEAD_DIM: `${headDim}u` },
        params: { tokens, stride4: stride / 4, head_dim: headDim, scale },
        bindings: {
          q: at(0),
          k: at(1),
          v: at(2),
          y: padded ? scratch(3) : output(0),
          logsumexp: padded ? scratch(4) : output(1),
        },
        workgroups: attentionGrid(all, stride),
      });
      if (padded) {
        calls.push(
          resizeRows(all * headDim, stride, tokens, scratch(3), output(0)),
          resizeRows(all, stride, tokens, scratch(4), output(1)),
        );
      }
      const rows = 4 * all * stride;
      const images = rows * headDim;
      return { calls, scratch: padded ? [images, images, images, images, rows] : [] };
    });
  },
  cost(inputs, outputs) {
    const [, , tokens] = outputs[1].shape;
    return { flops: 4 * sizeOf(inputs[0].shape) * tokens, bytes: trafficOf(inputs, outputs) };
  },
  // A score is a sum of HEAD_DIM products: its absolute error, about 2^-24·|s|·√D, is the relative
  // error of its probability; so are exp's 3 + 2|s| ULP.
  cases: SHAPES.map(([name, shape, heads, tolerance]): OpCase => ({
    name,
    inputs: [f32(...shape), f32(...shape), f32(...shape)],
    attrs: { heads, scale: 1 / Math.sqrt(shape[1] / heads) },
    tolerance,
    checkGradient: sizeOf(shape.slice(2)) < 500,
  })),
};
