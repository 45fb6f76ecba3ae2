/** 3×3, stride 1, padding 1 on software Vulkan: pixels and channels tiled in registers. */

import { type BufferRef, input, type Lowering, output } from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import { kernel } from "../common.ts";
import type { Geometry } from "./geometry.ts";
import { planPanels, STAGED, windowOf } from "./panels.ts";
import directText from "../../../kernels/conv2d/direct_3x3.wgsl" with { type: "text" };

const DIRECT = kernel("conv2d/direct_3x3.wgsl", directText, STAGED);

const WORKGROUP = 32;

/** What may be added in the store of a convolution. */
export interface Epilogue {
  readonly bias?: BufferRef;
  /** [N,Co] */
  readonly channel?: BufferRef;
  /** [N,Co,Ho,Wo] */
  readonly residual?: BufferRef;
}

export function isSame3x3(g: Geometry): boolean {
  return g.kh === 3 && g.kw === 3 && g.stride === 1 && g.top === 1 && g.left === 1 &&
    g.ho === g.h && g.wo === g.w;
}

export function fitsDirect(g: Geometry, device: DeviceProfile): boolean {
  return device.software && isSame3x3(g) && g.w % 4 === 0;
}

/** Forward convolution of input 0 (and further sources) with the weight in input `weight`. */
export function forwardDirect(
  g: Geometry,
  sources: readonly { ref: BufferRef; channels: number }[],
  weight: BufferRef,
  epilogue: Epilogue,
): Variant {
  return {
    name: "direct",
    exact: true,
    build: () => buildDirect(g, g.co, sources, weight, false, epilogue),
  };
}

/** dx from dy (input 0) and the weight (input 1): the same convolution with the kernel flipped. */
export function backwardDataDirect(g: Geometry, epilogue: Epilogue = {}): Variant {
  const sources = [{ ref: input(0), channels: g.co }];
  return {
    name: "direct",
    exact: true,
    build: () => buildDirect(g, g.ci, sources, input(1), true, epilogue),
  };
}

function buildDirect(
  { n, h, w }: Geometry,
  co: number,
  sources: readonly { ref: BufferRef; channels: number }[],
  weight: BufferRef,
  transposed: boolean,
  { bias, channel, residual }: Epilogue,
): Lowering {
  const { pack, passes, bytes } = planPanels({
    sources: sources.map((s) => s.channels),
    co,
    taps: 9,
    transposed,
    weight,
    bias,
  });
  const invocations = Math.ceil(w / 8) * Math.ceil(h / 4) * n;
  return {
    scratch: [bytes],
    calls: [
      ...pack,
      ...passes.map((pass) => {
        const source = sources[pass.source];
        const first = pass.ciFirst === 0;
        const extra = first ? residual : output();
        return {
          kernel: DIRECT,
          constants: { WORKGROUP },
          params: {
            batch: n,
            h,
            w4: w / 4,
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
            y: output(),
          },
          workgroups: [Math.ceil(invocations / WORKGROUP), pass.panels, 1] as const,
          note: `channels ${pass.coFirst}`,
        };
      }),
    ],
  };
}
