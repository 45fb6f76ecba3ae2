/**
 * Convolutions on software Vulkan: tiles of pixels and output channels in registers, the image read
 * from a texture and the weights from panels in a uniform buffer, the two fast reads there.
 */

import {
  type BufferRef,
  input,
  type KernelSource,
  type Lowering,
  output,
  scratch,
} from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import type { DType } from "../../graph/tensor.ts";
import { kernel, storedAs } from "../common.ts";
import { type Geometry, geometryParams } from "./geometry.ts";
import { planPanels, STAGED, windowOf } from "./panels.ts";
import tapsText from "../../../kernels/lib/taps_3x3.wgsl" with { type: "text" };
import directText from "../../../kernels/conv2d/direct_3x3.wgsl" with { type: "text" };
import strideText from "../../../kernels/conv2d/direct_3x3_stride2.wgsl" with { type: "text" };
import dataText from "../../../kernels/conv2d/backward_data_3x3_stride2.wgsl" with { type: "text" };
import anyText from "../../../kernels/conv2d/direct_any.wgsl" with { type: "text" };
import pointText from "../../../kernels/conv2d/pointwise.wgsl" with { type: "text" };

const DIRECT = kernel("conv2d/direct_3x3.wgsl", directText, STAGED, tapsText);
const STRIDE_2 = kernel("conv2d/direct_3x3_stride2.wgsl", strideText, STAGED, tapsText);
const BACKWARD_DATA_STRIDE_2 = kernel(
  "conv2d/backward_data_3x3_stride2.wgsl",
  dataText,
  STAGED,
  tapsText,
);
const ANY = kernel("conv2d/direct_any.wgsl", anyText, STAGED);
const POINTWISE = kernel("conv2d/pointwise.wgsl", pointText, STAGED);

const WORKGROUP = 32;

/** What may be added in the store of a convolution. */
export interface Epilogue {
  /** How the sum, and a residual, are stored. */
  readonly dtype: DType;
  readonly bias?: BufferRef;
  /** [N,Co] */
  readonly channel?: BufferRef;
  /** [N,Co,Ho,Wo] */
  readonly residual?: BufferRef;
}

/** A tensor that holds some of the input channels. */
export interface Source {
  readonly ref: BufferRef;
  readonly channels: number;
}

export type Shape = "3×3" | "3×3 stride 2" | "1×1" | "any";

/** Which of the fast kernels a convolution fits, if any. */
export function fastShape(g: Geometry, device: DeviceProfile): Shape | undefined {
  if (!device.software) return undefined;
  const same = g.stride === 1 && g.ho === g.h && g.wo === g.w;
  if (g.kh === 1 && g.kw === 1) {
    return same && g.top === 0 && g.left === 0 && g.h * g.w % 4 === 0 ? "1×1" : undefined;
  }
  if (g.kh !== 3 || g.kw !== 3 || g.top !== 1 || g.left !== 1) return undefined;
  if (same) return g.w % 4 === 0 ? "3×3" : undefined;
  return g.stride === 2 && g.w % 8 === 0 && g.wo === g.w / 2 ? "3×3 stride 2" : undefined;
}

interface Tiling {
  readonly kernel: KernelSource;
  readonly taps: number;
  readonly width: 8 | 16;
  readonly params: Readonly<Record<string, number>>;
  readonly invocations: number;
  /** Pixels of a channel of the output, over the batch. */
  readonly pixels: number;
  /** Floats stored at once. */
  readonly store: 1 | 4;
}

function tiling(g: Geometry, shape: Shape, transposed: boolean): Tiling {
  const { n, h, w, ho, wo } = g;
  const output = { pixels: n * (transposed ? h * w : ho * wo), store: 4 } as const;
  if (shape === "any") {
    const { ci: _ci, co: _co, ...params } = geometryParams(g);
    return {
      kernel: ANY,
      taps: g.kh * g.kw,
      width: 8,
      params,
      invocations: n * ho * Math.ceil(wo / 4),
      ...output,
      store: 1,
    };
  }
  if (shape === "1×1") {
    return {
      kernel: POINTWISE,
      taps: 1,
      width: 16,
      params: { batch: n, area4: h * w / 4 },
      invocations: n * Math.ceil(h * w / 16),
      ...output,
    };
  }
  if (shape === "3×3") {
    return {
      kernel: DIRECT,
      taps: 9,
      width: 8,
      params: { batch: n, h, w4: w / 4 },
      invocations: n * Math.ceil(w / 8) * Math.ceil(h / 4),
      ...output,
    };
  }
  return {
    kernel: transposed ? BACKWARD_DATA_STRIDE_2 : STRIDE_2,
    taps: 9,
    width: 8,
    params: { batch: n, h, w4: w / 4, ho, wo4: wo / 4 },
    invocations: n * (wo / 4) * Math.ceil((transposed ? h : ho) / 4),
    ...output,
  };
}

/** y from the sources of x and the weight. */
export function forwardDirect(
  g: Geometry,
  shape: Shape,
  sources: readonly Source[],
  weight: BufferRef,
  epilogue: Epilogue,
): Variant {
  return {
    name: shape === "any" ? "generic" : "direct",
    exact: true,
    build: () => build(tiling(g, shape, false), g.co, sources, weight, false, epilogue),
  };
}

/** dx from dy (input 0) and the weight (input 1): a convolution with the kernel flipped. */
export function backwardDataDirect(g: Geometry, shape: Shape, epilogue: Epilogue): Variant {
  const sources = [{ ref: input(0), channels: g.co }];
  return {
    name: "direct",
    exact: true,
    build: () => build(tiling(g, shape, true), g.ci, sources, input(1), true, epilogue),
  };
}

function build(
  { kernel, taps, width, params, invocations, pixels, store }: Tiling,
  co: number,
  sources: readonly Source[],
  weight: BufferRef,
  transposed: boolean,
  { bias, channel, residual, dtype }: Epilogue,
): Lowering {
  const { pack, passes, bytes } = planPanels({
    sources: sources.map((s) => s.channels),
    co,
    taps,
    width,
    transposed,
    weight,
    bias,
  });
  const channels = sources.reduce((sum, s) => sum + s.channels, 0);
  // Sums of several passes are f32 until they are whole.
  const inParts = dtype !== "f32" && passes.some((pass) => pass.ci < channels);
  return {
    scratch: inParts ? [bytes, 4 * pixels * co] : [bytes],
    calls: [
      ...pack,
      ...passes.map((pass) => {
        const source = sources[pass.source];
        const first = pass.ciFirst === 0;
        const last = pass.ciFirst + pass.ci === channels;
        const sum = inParts ? scratch(1) : output();
        const extra = first ? residual : sum;
        return {
          kernel,
          constants: { WORKGROUP },
          specialize: storedAs(inParts && !last ? "f32" : dtype, store),
          params: {
            ...params,
            ci: pass.ci,
            x_channels: source.channels,
            x_first: pass.sourceFirst,
            co,
            co_first: pass.coFirst,
            panel_size: pass.panelSize4,
            has_extra: extra ? 1 : 0,
            has_channel: first && channel ? 1 : 0,
          },
          bindings: {
            x: source.ref,
            panels: windowOf(pass),
            extra: extra ?? source.ref,
            channel: channel ?? weight,
            y: last ? output() : sum,
          },
          workgroups: [pass.panels, Math.ceil(invocations / WORKGROUP), 1] as const,
          note: `channels ${pass.coFirst}`,
        };
      }),
    ],
  };
}
