/**
 * Weights in panels of 8 or 16 output channels, small enough for uniform buffers, and how the work
 * on a convolution is split over dispatches by them.
 */

import { type BufferRef, gridFor, type KernelCall, scratch } from "../../graph/kernel_call.ts";
import { kernel } from "../common.ts";
import stagedText from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import packText from "../../../kernels/conv2d/pack_panels.wgsl" with { type: "text" };

export const STAGED = stagedText;

const PACK = kernel("conv2d/pack_panels.wgsl", packText, stagedText);

/** Bytes of a uniform binding, WebGPU's limit and the length that the kernels declare. */
export const WINDOW = 65536;

/** Some input channels of some output channels: what one dispatch sums up. */
export interface Pass {
  /** First input channel, counted over all sources, and how many. */
  readonly ciFirst: number;
  readonly ci: number;
  /** Which source tensor they lie in, and where. */
  readonly source: number;
  readonly sourceFirst: number;
  readonly coFirst: number;
  readonly panels: number;
  readonly panelSize4: number;
  /** The panels' range in the scratch buffer. */
  readonly offset: number;
}

export interface PanelPlan {
  readonly pack: readonly KernelCall[];
  readonly passes: readonly Pass[];
  /** Bytes of the scratch buffer with the panels. */
  readonly bytes: number;
}

/**
 * Panels of a weight [co, sum of sources, taps], or transposed [sum of sources, co, taps].
 * Input channels that do not fit a uniform buffer, and those of another source tensor, go to passes
 * of their own, which add to what the ones before have stored.
 */
export function planPanels(
  spec: {
    readonly sources: readonly number[];
    readonly co: number;
    readonly taps: number;
    /** Output channels of a panel. */
    readonly width: 8 | 16;
    readonly transposed: boolean;
    readonly weight: BufferRef;
    readonly bias?: BufferRef;
  },
  scratchIndex = 0,
): PanelPlan {
  const { sources, co, taps, width, transposed } = spec;
  const width4 = width / 4;
  const panelCount = Math.ceil(co / width);
  const most = Math.floor((WINDOW / 16 / width4 - 1) / taps);
  const pack: KernelCall[] = [];
  const passes: Pass[] = [];
  const total = sources.reduce((a, b) => a + b, 0);
  let offset = 0, before = 0;
  sources.forEach((channels, source) => {
    const parts = Math.ceil(channels / most);
    const step = Math.ceil(channels / parts);
    for (let first = 0; first < channels; first += step) {
      const ci = Math.min(step, channels - first);
      // Multiples of 16 vec4 keep every panel on the 256-byte grid of bindings.
      const panelSize4 = Math.ceil((1 + taps * ci) * width4 / 16) * 16;
      const perPass = Math.max(1, Math.floor(WINDOW / 16 / panelSize4));
      const ciFirst = before + first;
      pack.push({
        kernel: PACK,
        params: {
          panels: panelCount,
          width4,
          stride4: panelSize4,
          rows: ci,
          taps,
          ci_first: ciFirst,
          weight_ci: transposed ? co : total,
          weight_co: transposed ? total : co,
          has_bias: spec.bias && ciFirst === 0 ? 1 : 0,
          transposed: transposed ? 1 : 0,
        },
        bindings: {
          weight: spec.weight,
          bias: spec.bias ?? spec.weight,
          panels: scratch(scratchIndex, { offset, size: panelCount * panelSize4 * 16 }),
        },
        workgroups: gridFor(panelCount * (1 + taps * ci) * width4, 64),
        note: "pack weights",
      });
      for (let p = 0; p < panelCount; p += perPass) {
        passes.push({
          ciFirst,
          ci,
          source,
          sourceFirst: first,
          coFirst: p * width,
          panels: Math.min(perPass, panelCount - p),
          panelSize4,
          offset: offset + p * panelSize4 * 16,
        });
      }
      offset += panelCount * panelSize4 * 16;
    }
    before += channels;
  });
  // Kernels declare whole windows: the last one may reach past the panels.
  return { pack, passes, bytes: offset + WINDOW };
}

/** The uniform binding of a pass. */
export const windowOf = (pass: Pass, scratchIndex = 0): BufferRef =>
  scratch(scratchIndex, { offset: pass.offset, size: WINDOW });
