/** attention: kernel calls, the variants to choose from. */

import {
  type BufferRef,
  input,
  type KernelCall,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
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
import queriesText from "../../../kernels/lib/head_8_backward.wgsl" with { type: "text" };
import dyStaged from "../../../kernels/lib/dy_8_staged.wgsl" with { type: "text" };
import dyStored from "../../../kernels/lib/dy_8_stored.wgsl" with { type: "text" };
import queryGradient from "../../../kernels/lib/query_gradient_8.wgsl" with { type: "text" };
import keyGradients from "../../../kernels/lib/key_gradients_8.wgsl" with { type: "text" };
import partsLibrary from "../../../kernels/lib/parts_8.wgsl" with { type: "text" };
import queryPartsText from "../../../kernels/attention/backward_query_parts.wgsl" with {
  type: "text",
};
import keyValuePartsText from "../../../kernels/attention/backward_key_value_parts.wgsl" with {
  type: "text",
};
import deltaText from "../../../kernels/attention/backward_delta.wgsl" with { type: "text" };
import queryText from "../../../kernels/attention/backward_query.wgsl" with { type: "text" };
import keyValueText from "../../../kernels/attention/backward_key_value.wgsl" with { type: "text" };
import queryEightText from "../../../kernels/attention/backward_query_8.wgsl" with {
  type: "text",
};
import keyValueEightText from "../../../kernels/attention/backward_key_value_8.wgsl" with {
  type: "text",
};

const DELTA = readingKernels("attention/backward_delta.wgsl", deltaText, "x", "dy");

const QUERY = readingKernels("attention/backward_query.wgsl", queryText, "qkv", "dy");

const KEY_VALUE = readingKernels(
  "attention/backward_key_value.wgsl",
  keyValueText,
  "qkv",
  "dy",
);

const eight = (walk: Walk) => {
  const libraries = [...HEAD_8[walk], queriesText, dyStaged];
  return {
    query: kernel(
      "attention/backward_query_8.wgsl",
      queryEightText,
      ...libraries,
      queryGradient,
    ),
    keyValue: kernel(
      "attention/backward_key_value_8.wgsl",
      keyValueEightText,
      ...libraries,
      keyGradients,
    ),
  };
};

const EIGHT = { alone: eight("alone"), "by lanes": eight("by lanes") };

const PARTS_LIBRARIES = [...HEAD_8_PARTS, queriesText, dyStored];

const QUERY_PARTS = kernel(
  "attention/backward_query_parts.wgsl",
  queryPartsText,
  ...PARTS_LIBRARIES,
  queryGradient,
  partsLibrary,
);

const KEY_VALUE_PARTS = kernel(
  "attention/backward_key_value_parts.wgsl",
  keyValuePartsText,
  ...PARTS_LIBRARIES,
  keyGradients,
  partsLibrary,
);

/** delta[i] = Σ dy·y, by which the derivative of softmax differs from dp. */
function deltaCall(
  { all, headDim }: AttentionShape,
  stride: number,
  reading: Reading["name"],
  bindings: { x: BufferRef; dy: BufferRef; delta: BufferRef },
): KernelCall {
  return {
    kernel: DELTA[reading],
    params: { stride4: stride / 4, head_dim: headDim },
    bindings,
    workgroups: attentionGrid(all, stride, ELEMENTWISE),
    note: "delta",
  };
}

/**
 * Where the kernels find their tensors: scratch 0 is delta; where tensors must be copied, 1 to 5 are
 * the image inputs, 6 to 8 the outputs, and 9 is the logsumexp, if its rows are padded.
 */
function places({ dtype, tokens }: AttentionShape, stride: number) {
  const padded = stride !== tokens;
  const copied = padded || dtype !== "f32";
  const at = (index: number, place: number) => copied ? scratch(place) : input(index);
  const [q, k, v, y, dy] = [0, 1, 2, 3, 5].map((index, i) => at(index, 1 + i));
  const logsumexp = padded ? scratch(9) : input(4);
  const [dq, dk, dv] = [0, 1, 2].map((i) => copied ? scratch(6 + i) : output(i));
  return { padded, copied, q, k, v, y, dy, logsumexp, dq, dk, dv, delta: scratch(0) };
}

/** The calls with the copies that they need around them. */
function withCopies(shape: AttentionShape, stride: number, calls: KernelCall[]): Lowering {
  const { padded, copied, q, k, v, y, dy, logsumexp, dq, dk, dv } = places(shape, stride);
  const row = 4 * shape.all * stride;
  if (!copied) return { calls, scratch: [row] };
  const copies = copiesOf(shape, stride);
  const image = row * shape.headDim;
  return {
    scratch: [row, ...Array(8).fill(image), ...(padded ? [row] : [])],
    calls: [
      ...[q, k, v, y].map((to, i) => copies.into(input(i), to)),
      ...(padded ? [copies.numbersInto(input(4), logsumexp)] : []),
      copies.into(input(5), dy),
      ...calls,
      ...[dq, dk, dv].map((from, i) => copies.out(from, output(i))),
    ],
  };
}

function lowerGeneral(shape: AttentionShape, scale: number, reading: Reading["name"]): Lowering {
  const { all, headDim, tokens, device } = shape;
  const stride = Math.ceil(tokens / 8) * 8;
  requireIterations(headDim, stride, device);
  const { q, k, v, y, dy, logsumexp, dq, dk, dv, delta } = places(shape, stride);
  const common = {
    params: { stride4: stride / 4, head_dim: headDim, scale },
    workgroups: attentionGrid(all, stride, ELEMENTWISE),
  };
  const bindings = { q, k, v, dy, logsumexp, delta };
  return withCopies(shape, stride, [
    deltaCall(shape, stride, reading, { x: y, dy, delta }),
    { kernel: QUERY[reading], ...common, bindings: { ...bindings, dq }, note: "dq" },
    { kernel: KEY_VALUE[reading], ...common, bindings: { ...bindings, dk, dv }, note: "dk, dv" },
  ]);
}

/** Unrolled for heads of 8 channels. What it walks over is f32: f16 would be converted each time. */
function lowerEight(shape: AttentionShape, scale: number, walk: Walk): Lowering {
  const { all, tokens, dtype, device } = shape;
  const [y, logsumexp] = [input(3), input(4)];
  const walked = [0, 1, 2, 5];
  const [q, k, v, dy] = walked.map((index, i) => dtype === "f32" ? input(index) : scratch(1 + i));
  const copies = copiesOf(shape, tokens);
  const delta = scratch();
  const row = 4 * all * tokens;
  const common = {
    constants: { WORKGROUP: device.lanes },
    specialize: storedAs(dtype, "staged 4"),
    params: { stride4: tokens / 4, scale },
    workgroups: attentionGrid(all, tokens, 2 * device.lanes),
  };
  const read = { q, k, v, dy, logsumexp, delta };
  return {
    scratch: dtype === "f32" ? [row] : [row, ...walked.map(() => 8 * row)],
    calls: [
      ...(dtype === "f32"
        ? []
        : walked.map((index, i) => copies.into(input(index), scratch(1 + i)))),
      deltaCall(shape, tokens, "staged", { x: y, dy, delta }),
      { kernel: EIGHT[walk].query, ...common, bindings: { ...read, dq: output(0) }, note: "dq" },
      {
        kernel: EIGHT[walk].keyValue,
        ...common,
        bindings: { ...read, dk: output(1), dv: output(2) },
        note: "dk, dv",
      },
    ],
  };
}

/** … as GPUs do it. */
function lowerParts(shape: AttentionShape, scale: number): Lowering {
  const [q, k, v, y, logsumexp, dy] = [0, 1, 2, 3, 4, 5].map((i) => input(i));
  const delta = scratch();
  const common = partsCall(shape, scale);
  const read = { q, k, v, dy, logsumexp, delta };
  const { StoredX } = common.specialize;
  return {
    scratch: [4 * shape.all * shape.tokens],
    calls: [
      {
        ...deltaCall(shape, shape.tokens, "vec4", { x: y, dy, delta }),
        specialize: { StoredX, StoredDy: StoredX },
      },
      { kernel: QUERY_PARTS, ...common, bindings: { ...read, dq: output(0) }, note: "dq" },
      {
        kernel: KEY_VALUE_PARTS,
        ...common,
        bindings: { ...read, dk: output(1), dv: output(2) },
        note: "dk, dv",
      },
    ],
  };
}

export const lowerAttentionBackward: OpDef<AttentionAttrs>["lower"] = (
  { inputs: [q], attrs: { heads, scale }, device },
) => {
  const shape = attentionShape(q, heads, device);
  return attentionVariants(
    shape,
    q,
    (reading) => lowerGeneral(shape, scale, reading),
    (walk) => lowerEight(shape, scale, walk),
    () => lowerParts(shape, scale),
  );
};
