/** Multi-head attention on channel-first tensors, without a score matrix in memory. */

import { input, type KernelCall, type Lowering, output, scratch } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf, Tensor } from "../graph/tensor.ts";
import { attentionBackwardOp, probabilities } from "./attention_backward.ts";
import {
  attentionGrid,
  type AttentionShape,
  attentionShape,
  attentionVariants,
  copiesOf,
  dimensions,
  HEAD_8,
  HEAD_8_PARTS,
  partsCall,
  requireAttention,
  requireIterations,
  SHAPES,
  type Walk,
} from "./attention_shared.ts";
import { type Reading, readingKernels } from "./rows.ts";
import { ELEMENTWISE, f32, kernel, storedAs } from "./common.ts";
import text from "../../kernels/attention/forward.wgsl" with { type: "text" };
import eightText from "../../kernels/attention/forward_8.wgsl" with { type: "text" };
import partsText from "../../kernels/attention/forward_parts.wgsl" with { type: "text" };
import softmaxText from "../../kernels/lib/softmax_8.wgsl" with { type: "text" };

const FORWARD = readingKernels("attention/forward.wgsl", text, "qkv");
const forward8 = (walk: Walk) =>
  kernel("attention/forward_8.wgsl", eightText, ...HEAD_8[walk], softmaxText);
const FORWARD_8 = { alone: forward8("alone"), "by lanes": forward8("by lanes") };
const FORWARD_PARTS = kernel(
  "attention/forward_parts.wgsl",
  partsText,
  ...HEAD_8_PARTS,
  softmaxText,
);

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

function lowerGeneral(
  shape: AttentionShape,
  scale: number,
  reading: Reading["name"],
): Lowering {
  const { all, headDim, tokens, dtype, device } = shape;
  const stride = Math.ceil(tokens / 8) * 8;
  requireIterations(headDim, stride, device);
  const padded = stride !== tokens;
  const copied = padded || dtype !== "f32";
  const at = copied ? scratch : input;
  const forward: KernelCall = {
    kernel: FORWARD[reading],
    params: { tokens, stride4: stride / 4, head_dim: headDim, scale },
    bindings: {
      q: at(0),
      k: at(1),
      v: at(2),
      y: copied ? scratch(3) : output(0),
      logsumexp: padded ? scratch(4) : output(1),
    },
    workgroups: attentionGrid(all, stride, ELEMENTWISE),
  };
  if (!copied) return { calls: [forward] };
  const copies = copiesOf(shape, stride);
  const rows = 4 * all * stride;
  const images = rows * headDim;
  return {
    scratch: [images, images, images, images, ...(padded ? [rows] : [])],
    calls: [
      ...[0, 1, 2].map((i) => copies.into(input(i), scratch(i))),
      forward,
      copies.out(scratch(3), output(0)),
      ...(padded ? [copies.numbersOut(scratch(4), output(1))] : []),
    ],
  };
}

/** Unrolled for heads of 8 channels. What it walks over is f32: f16 would be converted each time. */
function lowerEight(shape: AttentionShape, scale: number, walk: Walk): Lowering {
  const { all, tokens, dtype, device } = shape;
  const WORKGROUP = device.lanes;
  const [k, v] = [0, 1].map((i) => dtype === "f32" ? input(1 + i) : scratch(i));
  const forward: KernelCall = {
    kernel: FORWARD_8[walk],
    constants: { WORKGROUP },
    specialize: storedAs(dtype, "staged 4"),
    params: { stride4: tokens / 4, scale },
    bindings: { q: input(0), k, v, y: output(0), logsumexp: output(1) },
    workgroups: attentionGrid(all, tokens, 2 * WORKGROUP),
  };
  if (dtype === "f32") return { calls: [forward] };
  const copies = copiesOf(shape, tokens);
  const image = 4 * 8 * all * tokens;
  return {
    scratch: [image, image],
    calls: [copies.into(input(1), k), copies.into(input(2), v), forward],
  };
}

export const attentionOp: OpDef = {
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
  lower({ inputs: [q], attrs: { heads, scale }, device }) {
    const shape = attentionShape(q, heads, device);
    return attentionVariants(
      shape,
      q,
      (reading) => lowerGeneral(shape, scale, reading),
      (walk) => lowerEight(shape, scale, walk),
      () => ({
        calls: [{
          kernel: FORWARD_PARTS,
          ...partsCall(shape, scale),
          bindings: { q: input(0), k: input(1), v: input(2), y: output(0), logsumexp: output(1) },
        }],
      }),
    );
  },
  cost(inputs, outputs) {
    const [, , tokens] = outputs[1].shape;
    return { flops: 4 * sizeOf(inputs[0].shape) * tokens, bytes: trafficOf(inputs, outputs) };
  },
  // A score is a sum of HEAD_DIM products: its absolute error, about 2^-24·|s|·√D, is the relative
  // error of its probability; so are exp's 3 + 2|s| ULP.
  cases: [
    ...SHAPES.map(([name, shape, heads, tolerance]): OpCase => ({
      name,
      inputs: [f32(...shape), f32(...shape), f32(...shape)],
      attrs: { heads, scale: 1 / Math.sqrt(shape[1] / heads) },
      tolerance,
      checkGradient: sizeOf(shape.slice(2)) < 500,
    })),
    // Scores of hundreds, all exact: without the running maximum of every one, exp overflows.
    {
      name: "large scores",
      inputs: [f32(3, 32, 10, 12), f32(3, 32, 10, 12), f32(3, 32, 10, 12)].map((t, i) =>
        i < 2 ? { ...t, fill: { kind: "integers", low: -20, high: 21 } as const } : t
      ),
      attrs: { heads: 4, scale: 0.25 },
      tolerance: 1e-6,
      checkGradient: false,
    },
  ],
};
