/** Weights in panels of 8 or 16 output channels, in the order in which the kernels read them. */

import { type BufferRef, gridFor, type KernelCall } from "../../graph/kernel_call.ts";
import { kernel } from "../common.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import packText from "../../../kernels/conv2d/pack_panels.wgsl" with { type: "text" };

export const STAGED = stagedText;

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
    readonly width: 8 | 16;
    readonly transposed: boolean;
    readonly weight: BufferRef;
    readonly bias?: BufferRef;
  },
  target: BufferRef,
): Panels {
  const { ci, co, taps, width, transposed, weight, bias } = spec;
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
        panels: count,
        width4,
        stride4: size4,
        ci,
        taps,
        weight_ci: transposed ? co : ci,
        weight_co: transposed ? ci : co,
        has_bias: bias ? 1 : 0,
        transposed: transposed ? 1 : 0,
      },
      bindings: { weight, bias: bias ?? weight, panels: target },
      workgroups: gridFor(count * size4, 64),
      note: "pack weights",
    },
  };
}
