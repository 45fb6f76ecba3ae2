/** Lowerings for any kernel size, stride and padding: correct everywhere, fast nowhere. */

import { gridFor, input, type Lowering, output, scratch } from "../../graph/kernel_call.ts";
import type { Variant } from "../../graph/op.ts";
import { kernel } from "../common.ts";
import { type Geometry, geometryParams } from "./geometry.ts";
import forwardText from "../../../kernels/conv2d/forward_generic.wgsl" with { type: "text" };
import dataText from "../../../kernels/conv2d/backward_data_generic.wgsl" with { type: "text" };
import weightText from "../../../kernels/conv2d/backward_weight_generic.wgsl" with { type: "text" };
import biasText from "../../../kernels/conv2d/backward_bias.wgsl" with { type: "text" };
import sumText from "../../../kernels/conv2d/sum_partials.wgsl" with { type: "text" };

const FORWARD = kernel("conv2d/forward_generic.wgsl", forwardText);
const BACKWARD_DATA = kernel("conv2d/backward_data_generic.wgsl", dataText);
const BACKWARD_WEIGHT = kernel("conv2d/backward_weight_generic.wgsl", weightText);
const BACKWARD_BIAS = kernel("conv2d/backward_bias.wgsl", biasText);
const SUM_PARTIALS = kernel("conv2d/sum_partials.wgsl", sumText);

const WORKGROUP = 64;

export function forwardGeneric(g: Geometry, hasBias: boolean): Variant {
  const count = Math.ceil(g.wo / 4) * g.ho * Math.ceil(g.co / 8) * g.n;
  return {
    name: "generic",
    exact: true,
    build: () => ({
      calls: [{
        kernel: FORWARD,
        params: { ...geometryParams(g), has_bias: hasBias ? 1 : 0 },
        bindings: { x: input(0), weight: input(1), bias: input(hasBias ? 2 : 1), y: output() },
        workgroups: gridFor(count, WORKGROUP),
      }],
    }),
  };
}

export function backwardDataGeneric(g: Geometry): Variant {
  const strips = Math.ceil(g.w / (4 * g.stride));
  const count = strips * g.stride * g.h * Math.ceil(g.ci / 8) * g.n;
  return {
    name: "generic",
    exact: true,
    build: () => ({
      calls: [{
        kernel: BACKWARD_DATA,
        params: geometryParams(g),
        bindings: { dy: input(0), weight: input(1), dx: output() },
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
      sumPartials(count, slice, chunks),
    ],
  };
}

/** Adds up scratch 0, `chunks` slices of `slice` floats, into the output. */
export function sumPartials(count: number, slice: number, chunks: number) {
  return {
    kernel: SUM_PARTIALS,
    params: { count, slice4: slice / 4, chunks },
    bindings: { partial: scratch(), dw: output() },
    workgroups: gridFor(Math.ceil(count / 4), WORKGROUP),
    note: "sum",
  };
}

export function backwardBias([n, co, h, w]: readonly number[]): Variant {
  const slice = Math.ceil(co / 4) * 4;
  return {
    name: "planes",
    exact: true,
    build: () => ({
      scratch: [n * slice * 4],
      calls: [
        {
          kernel: BACKWARD_BIAS,
          params: { batch: n, co, area: h * w, slice },
          bindings: { dy: input(0), partial: scratch() },
          workgroups: gridFor(n * co, 8),
          note: "partial sums",
        },
        sumPartials(co, slice, n),
      ],
    }),
  };
}
