/** Gradients for any kernel size, stride and padding: correct everywhere, fast nowhere. */

import { gridFor, input, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import { kernel, storedAs } from "../common/checks.ts";
import type { Epilogue } from "./direct.ts";
import { type Geometry, geometryParams } from "./geometry.ts";
import { STAGED } from "./panels.ts";
import { sumSlices } from "./weight.ts";
import dataText from "../../../kernels/conv2d/backward_data_generic.wgsl" with { type: "text" };
import weightText from "../../../kernels/conv2d/backward_weight_generic.wgsl" with { type: "text" };

const BACKWARD_DATA = kernel("conv2d/backward_data_generic.wgsl", dataText, STAGED);
const BACKWARD_WEIGHT = kernel("conv2d/backward_weight_generic.wgsl", weightText, STAGED);

const WORKGROUP = 32;

export function backwardDataGeneric(g: Geometry, { residual, dtype }: Epilogue): Variant {
  const strips = Math.ceil(g.w / (4 * g.stride));
  const count = strips * g.stride * g.h * Math.ceil(g.ci / 8) * g.n;
  return {
    name: "generic",
    exact: true,
    build: () => ({
      calls: [{
        kernel: BACKWARD_DATA,
        specialize: storedAs(dtype, 1),
        params: { ...geometryParams(g), has_extra: residual ? 1 : 0 },
        bindings: {
          dy: input(0),
          weight: input(1),
          extra: residual ?? input(0),
          dx: output(),
        },
        workgroups: gridFor(count, WORKGROUP),
      }],
    }),
  };
}

export function backwardWeightGeneric(g: Geometry): Variant {
  return { name: "generic", exact: true, build: () => buildBackwardWeight(g) };
}

function buildBackwardWeight(g: Geometry): Lowering {
  const rows = g.n * g.ho;
  const count = g.co * g.ci * g.kh * g.kw;
  const slice = Math.ceil(count / 4) * 4;
  // Enough chunks to fill the device, few enough to keep the partial sums below 16 MiB, and no
  // invocation above 32,768 loop iterations.
  const wanted = Math.max(1, Math.ceil(16384 * 8 / count));
  const most = Math.max(1, Math.floor(2 ** 22 / slice));
  const needed = Math.ceil(rows * (g.wo + 1) / 32768);
  const perChunk = Math.ceil(rows / Math.max(needed, Math.min(wanted, most, rows)));
  const chunks = Math.ceil(rows / perChunk);
  const invocations = g.ci * g.kh * g.kw * Math.ceil(g.co / 8) * chunks;
  return {
    scratch: [chunks * slice * 4],
    calls: [
      {
        kernel: BACKWARD_WEIGHT,
        params: { ...geometryParams(g), rows_per_chunk: perChunk, chunks, slice },
        bindings: { x: input(0), dy: input(1), partial: scratch() },
        workgroups: gridFor(invocations, WORKGROUP),
        note: "partial sums",
      },
      sumSlices({ co: 1, length: count, row4: slice / 4, slice4: slice / 4, slices: chunks }),
    ],
  };
}
