/** A factor an image, looked up by its timestep: loss weights. */

import { gridFor, input, output } from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import {
  ELEMENTWISE,
  f32,
  i32,
  kernel,
  only,
  requireFloat,
  requireRank,
} from "../common/checks.ts";
import text from "../../../kernels/scale_images/forward.wgsl" with { type: "text" };

const SCALE = kernel("scale_images/forward.wgsl", text);

/** y[n] = table[t[n]]·x[n]. x [N,…]; t i32 [N]; table [timesteps]. */
export function scaleImages(x: Tensor, t: Tensor, table: Tensor): Tensor {
  return x.graph.append(scaleImagesOp, [x, t, table])[0];
}

export const scaleImagesOp: OpDef = {
  name: "scale_images",
  infer([x, t, table]) {
    requireFloat("x", x);
    requireFloat("table", table);
    requireRank("table", table, 1);
    if (t.dtype !== "i32" || sizeOf(t.shape) !== x.shape[0]) {
      throw new Error(`t [${t.shape}] ${t.dtype} must be i32 [${x.shape[0]}]`);
    }
    return [x];
  },
  // The table is data, never a parameter.
  vjp: ({ inputs: [, t, table] }, [dy], [needed]) => [
    needed ? scaleImages(dy!, t, table) : undefined,
    undefined,
    undefined,
  ],
  reference([x, t, table]) {
    const per = x.length / t.length;
    return [x.map((v, i) => table[t[Math.floor(i / per)]] * v)];
  },
  lower({ inputs: [x, , table] }) {
    const count = sizeOf(x.shape);
    return only("elementwise", () => ({
      calls: [{
        kernel: SCALE,
        params: { count, per_image: count / x.shape[0], timesteps: table.shape[0] },
        bindings: { x: input(0), t: input(1), table: input(2), y: output() },
        workgroups: gridFor(count, ELEMENTWISE),
      }],
    }));
  },
  cost: (inputs, outputs) => ({
    flops: sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // One rounding.
  cases: [{
    name: "odd",
    inputs: [
      f32(3, 1, 6, 17),
      { ...i32(3), fill: { kind: "values", values: [0, 9, 4] } },
      f32(10),
    ],
    attrs: {},
    tolerance: 1e-7,
  }],
};
