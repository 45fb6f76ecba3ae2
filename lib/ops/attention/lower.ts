/** attention: kernel calls, the variants to choose from. */

import { input, type KernelCall, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { OpDef } from "../../graph/op.ts";
import {
  type AttentionAttrs,
  attentionGrid,
  type AttentionShape,
  attentionShape,
  attentionVariants,
  copiesOf,
  HEAD_8,
  HEAD_8_PARTS,
  partsCall,
  requireIterations,
  type Walk,
} from "./geometry.ts";
import { type Reading, readingKernels } from "../common/vectorized_access.ts";
import { ELEMENTWISE, kernel, storedAs } from "../common/checks.ts";
import text from "../../../kernels/attention/forward.wgsl" with { type: "text" };
import eightText from "../../../kernels/attention/forward_8.wgsl" with { type: "text" };
import partsText from "../../../kernels/attention/forward_parts.wgsl" with { type: "text" };
import softmaxText from "../../../kernels/lib/softmax_8.wgsl" with { type: "text" };

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

export const lowerAttention: OpDef<AttentionAttrs>["lower"] = (
  { inputs: [q], attrs: { heads, scale }, device },
) => {
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
};
