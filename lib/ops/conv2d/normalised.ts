/** Convolution of an image that is normalised and goes through SiLU as it is read. */

import { input, scratch } from "../../graph/kernel_call.ts";
import {
  type DeviceKind,
  type OpCase,
  type OpDef,
  trafficOf,
  type Variant,
} from "../../graph/op.ts";
import { bytesOf, sizeOf, type TensorType } from "../../graph/tensor.ts";
import { f32, subgroupLanes } from "../common/checks.ts";
import { conv2dOp } from "./op.ts";
import { fastShapes, forwardNormalised, LANES_WIDTH } from "./direct.ts";
import { epilogueOf, extrasOf, halfTensors } from "./extras.ts";
import { type Conv2dAttrs, convolutionFlops, geometry } from "./geometry.ts";
import { isTileable, normalisedTiled } from "./tiled.ts";
import { rebound } from "./upsampled.ts";
import { groupNormApplyOp } from "../group_norm/op.ts";
import { positive, requireParts } from "../group_norm/geometry.ts";

/** The last three inputs: stats [N,G,2], weight and bias [Ci] of the group norm. */
const NORM = 3;

/** Attributes of the group norm with such inputs. */
const siluOf = (inputs: readonly TensorType[]) => ({
  groups: inputs.at(-NORM)!.shape[1],
  silu: true,
});

/**
 * Whether a conv2d is faster so: if few invocations read a pixel, for each computes SiLU for itself.
 * Kernels by lanes read x once for a panel, and what that saves was measured; those of GPUs take a
 * pixel into workgroup memory once for 32 channels, and spare a dispatch.
 */
export function normalisesInLoad(
  [x, weight]: readonly TensorType[],
  attrs: Conv2dAttrs,
  device: DeviceKind,
): boolean {
  const g = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
  if (!device.software) return isTileable(g);
  const lanes = subgroupLanes(device);
  return lanes !== undefined && g.co <= LANES_WIDTH &&
    fastShapes(g, g.co, device)[0] === `3×3 by ${lanes} lanes`;
}

/**
 * `conv2d(group_norm_apply(x, stats, w, b), weight, ..)` with the same attrs and SiLU, without the
 * image between the two. Inputs: x, weight, what `extras` name, then stats, w, b. Made by
 * lib/passes/fuse_norm.ts, after differentiation.
 */
export const conv2dNormalisedOp: OpDef<Conv2dAttrs> = {
  name: "conv2d_normalised",
  infer(inputs, attrs) {
    const [stats, weight, bias] = inputs.slice(-NORM);
    requireParts(inputs[0], stats, weight, bias);
    return conv2dOp.infer(inputs.slice(0, -NORM), attrs);
  },
  half: (attrs, inputs) => halfTensors(attrs, inputs.slice(0, -NORM)),
  vjp: "non-differentiable",
  reference(inputs, attrs, types, outputs) {
    const norm = [0, ...inputs.keys()].slice(-NORM);
    const pick = <T>(of: readonly T[]) => [of[0], ...norm.map((i) => of[i])];
    const [x] = groupNormApplyOp.reference(pick(inputs), siluOf(types), pick(types), [types[0]]);
    const others = inputs.slice(1, -NORM);
    return conv2dOp.reference([x, ...others], attrs, types.slice(0, -NORM), outputs);
  },
  lower({ inputs, outputs, attrs, device }) {
    const [x, weight, ...others] = inputs.slice(0, -NORM);
    const [stats] = inputs.slice(-NORM);
    const first = 2 + extrasOf(attrs).length;
    const g = geometry(x.shape, weight.shape, attrs.stride, attrs.padding);
    const lanes = subgroupLanes(device);
    const byLanes = lanes && fastShapes(g, g.co, device).includes(`3×3 by ${lanes} lanes`);
    const epilogue = epilogueOf(attrs);
    const norm = {
      groups: stats.shape[1],
      stats: input(first),
      weight: input(first + 1),
      bias: input(first + 2),
    };
    const shared = byLanes
      ? [{
        name: "direct_lanes",
        exact: true,
        build: () => forwardNormalised(g, norm, lanes, epilogue),
      }]
      : [];
    const tiled = normalisedTiled(g, x.dtype, epilogue, norm, device);
    const apart: Variant = {
      name: "one after the other",
      exact: true,
      build() {
        const image = f32(...x.shape);
        const apply = groupNormApplyOp.lower({
          inputs: [x, ...inputs.slice(-NORM)],
          outputs: [image],
          attrs: siluOf(inputs),
          device,
        })[0].build();
        const made = conv2dOp.lower({ inputs: [image, weight, ...others], outputs, attrs, device })
          .find((v) => v.exact)!.build();
        const own = scratch(made.scratch?.length ?? 0);
        const moved = { output: own, input: (i: number) => input(first + i - 1) };
        return {
          scratch: [...made.scratch ?? [], bytesOf(image)],
          calls: [
            ...apply.calls.map((call) => ({
              ...call,
              bindings: Object.fromEntries(
                Object.entries(call.bindings).map(([name, ref]) => [
                  name,
                  ref.kind === "output" ? moved.output : ref.index ? moved.input(ref.index) : ref,
                ]),
              ),
            })),
            ...rebound(made.calls, input(0), own),
          ],
        };
      },
    };
    return device.software ? [...shared, apart, ...tiled] : [...tiled, apart];
  },
  cost(inputs, outputs, { stride, padding }) {
    const [x, weight] = inputs;
    return {
      flops: convolutionFlops(geometry(x.shape, weight.shape, stride, padding)) +
        8 * sizeOf(x.shape) + (inputs.length - 2 - NORM) * sizeOf(outputs[0].shape),
      bytes: trafficOf(inputs, outputs),
    };
  },
  cases: ([
    { name: "odd 3×3", x: [3, 6, 11, 17], co: 5, groups: 3, extras: ["bias"] },
    { name: "3×3", x: [1, 20, 8, 8], co: 18, groups: 20, extras: [] },
    { name: "3×3 whole tiles", x: [2, 16, 16, 32], co: 32, groups: 4, extras: ["bias"] },
    { name: "fused", x: [2, 6, 7, 12], co: 40, groups: 2, extras: ["bias", "channel", "residual"] },
  ] as const).map(({ name, x: [n, ci, h, w], co, groups, extras }): OpCase<Conv2dAttrs> => ({
    name,
    inputs: [
      f32(n, ci, h, w),
      { ...f32(co, ci, 3, 3), fill: { kind: "normal", std: 1 / Math.sqrt(9 * ci) } },
      ...[f32(co), f32(n, co), f32(n, co, h, w)].slice(0, extras.length),
      positive(n, groups, 2),
      f32(ci),
      f32(ci),
    ],
    attrs: { stride: 1, padding: [1, 1, 1, 1], extras },
    // That of the convolution, and the 1e-6 of its image.
    tolerance: 2.2e-6,
  })),
};
