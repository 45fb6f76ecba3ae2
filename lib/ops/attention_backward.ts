/** The gradient of attention, recomputing probabilities from the stored logsumexp. */

import { input, type KernelCall, output, scratch } from "../graph/kernel_call.ts";
import { type OpCase, type OpDef, trafficOf } from "../graph/op.ts";
import { sizeOf } from "../graph/tensor.ts";
import {
  attentionGrid,
  dimensions,
  requireAttention,
  resizeRows,
  SHAPES,
} from "./attention_shared.ts";
import { f32, kernel, only, requireSame } from "./common.ts";
import deltaText from "../../kernels/attention/backward_delta.wgsl" with { type: "text" };
import queryText from "../../kernels/attention/backward_query.wgsl" with { type: "text" };
import keyValueText from "../../kernels/attention/backward_key_value.wgsl" with { type: "text" };

const DELTA = kernel("attention/backward_delta.wgsl", deltaText);
const QUERY = kernel("attention/backward_query.wgsl", queryText);
const KEY_VALUE = kernel("attention/backward_key_value.wgsl", keyValueText);

/** Reference: p[i·tokens + j] and logsumexp[i] of head `h` (over the whole batch). */
export function probabilities(
  q: Float64Array,
  k: Float64Array,
  h: number,
  headDim: number,
  tokens: number,
  scale: number,
): { p: Float64Array; sums: Float64Array } {
  const p = new Float64Array(tokens * tokens);
  for (let d = 0; d < headDim; d++) {
    const row = (h * headDim + d) * tokens;
    for (let i = 0; i < tokens; i++) {
      for (let j = 0; j < tokens; j++) p[i * tokens + j] += scale * q[row + i] * k[row + j];
    }
  }
  const sums = new Float64Array(tokens);
  for (let i = 0; i < tokens; i++) {
    const scores = p.subarray(i * tokens, (i + 1) * tokens);
    const most = scores.reduce((a, b) => Math.max(a, b));
    sums[i] = most + Math.log(scores.reduce((a, s) => a + Math.exp(s - most), 0));
    scores.forEach((s, j) => scores[j] = Math.exp(s - sums[i]));
  }
  return { p, sums };
}

/** (q, k, v, y, logsumexp, dy) → (dq, dk, dv). */
export const attentionBackwardOp: OpDef = {
  name: "attention_backward",
  infer([q, k, v, y, logsumexp, dy], { heads }) {
    requireAttention({ q, k, v, y, dy }, heads);
    const { batch, tokens } = dimensions(q, heads);
    requireSame("logsumexp", logsumexp, "required", f32(batch, heads, tokens));
    return [q, q, q];
  },
  vjp: "non-differentiable",
  reference([q, k, v, y, logsumexp, dy], { heads, scale }, [type]) {
    const { batch, headDim, tokens } = dimensions(type, heads);
    const [dq, dk, dv] = [q, k, v].map((t) => new Float64Array(t.length));
    for (let h = 0; h < batch * heads; h++) {
      const { p, sums } = probabilities(q, k, h, headDim, tokens, scale);
      // As the kernels do, take the given logsumexp at its word.
      for (let i = 0; i < tokens; i++) {
        const correction = Math.exp(sums[i] - logsumexp[h * tokens + i]);
        for (let j = 0; j < tokens; j++) p[i * tokens + j] *= correction;
      }
      const ds = new Float64Array(tokens * tokens);
      for (let d = 0; d < headDim; d++) {
        const row = (h * headDim + d) * tokens;
        for (let i = 0; i < tokens; i++) {
          for (let j = 0; j < tokens; j++) {
            ds[i * tokens + j] += dy[row + i] * (v[row + j] - y[row + i]);
            dv[row + j] += p[i * tokens + j] * dy[row + i];
          }
        }
      }
      for (let n = 0; n < ds.length; n++) ds[n] *= scale * p[n];
      for (let d = 0; d < headDim; d++) {
        const row = (h * headDim + d) * tokens;
        for (let i = 0; i < tokens; i++) {
          for (let j = 0; j < tokens; j++) {
            dq[row + i] += ds[i * tokens + j] * k[row + j];
            dk[row + j] += ds[i * tokens + j] * q[row + i];
          }
        }
      }
    }
    return [dq, dk, dv];
  },
  lower({ inputs: [q], attrs: { heads, scale } }) {
    const { batch, headDim, tokens } = dimensions(q, heads);
    const [all, stride] = [batch * heads, Math.ceil(tokens / 4) * 4];
    const padded = stride !== tokens;
    const stride4 = stride / 4;
    return only("recompute", () => {
      // Scratch 0 is delta; where rows must be padded, 1 to 6 the inputs, 7 to 9 the outputs.
      const calls: KernelCall[] = [];
      const rowsOf = (i: number) => i === 4 ? all : all * headDim;
      const names = ["q", "k", "v", "y", "logsumexp", "dy"] as const;
      const at = Object.fromEntries(
        names.map((name, i) => [name, padded ? scratch(1 + i) : input(i)]),
      ) as Record<typeof names[number], ReturnType<typeof input>>;
      if (padded) {
        names.forEach((name, i) =>
          calls.push(resizeRows(rowsOf(i), tokens, stride, input(i), at[name]))
        );
      }
      const out = (i: number) => padded ? scratch(7 + i) : output(i);
      const { q, k, v, y, logsumexp, dy } = at;
      const delta = scratch(0);
      const workgroups = attentionGrid(all, stride);
      const specialize = { HEAD_DIM: `${headDim}u` };
      const params = { stride4, head_dim: headDim, scale };
      calls.push({
        kernel: DELTA,
        params: { stride4, head_dim: headDim },
        bindings: { y, dy, delta },
        workgroups,
        note: "delta",
      }, {
        kernel: QUERY,
        specialize,
        params,
        bindings: { q, k, v, dy, logsumexp, delta, dq: out(0) },
        workgroups,
        note: "dq",
      }, {
        kernel: KEY_VALUE,
        specialize,
        params,
        bindings: { q, k, v, dy, logsumexp, delta, dk: out(1), dv: out(2) },
        workgroups,
        note: "dk, dv",
      });
      if (padded) {
        [0, 1, 2].forEach((i) =>
          calls.push(resizeRows(all * headDim, stride, tokens, out(i), output(i)))
        );
      }
      const row = 4 * all * stride;
      const image = row * headDim;
      const more = [image, image, image, image, row, image, image, image, image];
      return { calls, scratch: padded ? [row, ...more] : [row] };
    });
  },
  cost(inputs, outputs) {
    const [, , tokens] = inputs[4].shape;
    return { flops: 14 * sizeOf(inputs[0].shape) * tokens, bytes: trafficOf(inputs, outputs) };
  },
  // y and logsumexp are given: random ones would let exp(s − logsumexp) grow without bound, so the
  // logsumexp is that of like scores, log T. Errors as in the forward pass, twice over.
  cases: SHAPES.map(([name, shape, heads, tolerance]): OpCase => {
    const x = f32(...shape);
    const { batch, tokens } = dimensions(x, heads);
    const sums = f32(batch, heads, tokens);
    return {
      name,
      inputs: [x, x, x, x, { ...sums, fill: { kind: "constant", value: Math.log(tokens) } }, x],
      attrs: { heads, scale: 1 / Math.sqrt(shape[1] / heads) },
      tolerance: 2 * tolerance,
    };
  }),
};
