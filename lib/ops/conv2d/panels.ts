/** Weights in panels of 8 or 16 output channels, in the order in which the kernels read them. */

import type { BufferRef, KernelCall } from "../../graph/kernel_call.ts";
import { kernel, type SubgroupLanes } from "../common/checks.ts";
import { SHARED_TEXELS, TEXELS } from "../common/subgroup_sharing.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import dotsText from "../../../kernels/lib/lane_dots.wgsl" with { type: "text" };
import panelText from "../../../kernels/lib/panel_lanes.wgsl" with { type: "text" };
import panel16Text from "../../../kernels/lib/panel_lanes_16.wgsl" with { type: "text" };
import packText from "../../../kernels/conv2d/pack_panels.wgsl" with { type: "text" };

export const STAGED = stagedText;

/** What kernels join after STAGED that read weights once for a subgroup. */
export const LANE_PANEL: Readonly<Record<SubgroupLanes, readonly string[]>> = {
  8: [...SHARED_TEXELS[8], panelText],
  16: [...SHARED_TEXELS[16], panel16Text],
};

/** … that sum products with pixels which eight invocations read once; joined after EIGHTS. */
export const LANE_DOTS = [TEXELS, dotsText] as const;

const PACK = kernel("conv2d/pack_panels.wgsl", packText, stagedText);

export interface Panels {
  readonly pack: KernelCall;
  readonly count: number;
  /** Vec4 from panel to panel. */
  readonly size4: number;
  /** Bytes of all panels. */
  readonly bytes: number;
}

/** Panels of a weight [co, ci, taps], or transposed [ci, co, taps], written to `target`. */
export function panelsOf(
  spec: {
    readonly ci: number;
    readonly co: number;
    readonly taps: number;
    /** Output channels of a panel. */
    readonly width: 8 | 16 | 32;
    /** The kernel takes so many input channels at a time: there are zeros up to a multiple. */
    readonly together?: number;
    readonly transposed: boolean;
    readonly weight: BufferRef;
    readonly bias?: BufferRef;
  },
  target: BufferRef,
): Panels {
  const { co, taps, width, transposed, weight, bias } = spec;
  const ci = Math.ceil(spec.ci / (spec.together ?? 1)) * (spec.together ?? 1);
  const width4 = width / 4;
  const count = Math.ceil(co / width);
  const size4 = (1 + taps * ci) * width4;
  return {
    count,
    size4,
    bytes: count * size4 * 16,
    pack: {
      kernel: PACK,
      params: {
        rows: size4,
        shift: Math.log2(width4),
        taps,
        weight_ci: transposed ? co : spec.ci,
        weight_co: transposed ? spec.ci : co,
        has_bias: bias ? 1 : 0,
        transposed: transposed ? 1 : 0,
      },
      bindings: { weight, bias: bias ?? weight, panels: target },
      workgroups: [Math.ceil(size4 / 64), count, 1],
      note: "pack weights",
    },
  };
}
