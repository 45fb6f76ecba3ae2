/** loss_scale: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import type { OpCase } from "../../graph/op.ts";
import { f32, i32 } from "../common/checks.ts";
import { CLIP_BLOCK } from "../gradient_clip/shared.ts";
import { ADAMW_HYPER } from "../optimizer/shared.ts";
import { LOSS_SCALE_STATE, type LossScaleAttrs } from "./shared.ts";

// As in gradient_clip; 1 − β^t has a relative error of a few 2^-24.
export const lossScaleCases: readonly OpCase<LossScaleAttrs>[] = [
  { name: "taken", state: [65536, 3, 1, 5] },
  { name: "scale grows", state: [65536, 1999, 0, 1999], maxNorm: 2e-4 },
  { name: "first step", state: [1, 0, 4, 0] },
  { name: "not due", state: [1024, 1999, 2, 70], apply: 0 },
  { name: "late", state: [2, 7, 1, 50_000], blocks: 2048 },
].map(({ name, state, apply = 1, maxNorm = 3e38, blocks = 5 }): OpCase<LossScaleAttrs> => ({
  name,
  inputs: [
    f32(CLIP_BLOCK * blocks),
    { ...i32(blocks), fill: { kind: "values", values: [64, 1, 0, 33, 63] } },
    {
      ...f32(ADAMW_HYPER),
      fill: {
        kind: "values",
        values: [1e-3, 0.1, 0.999, 1e-3, 1e-8, 1, 9, 9, 0, 0.1, apply, 0.5],
      },
    },
    { ...f32(2), fill: { kind: "values", values: [Math.log(0.9), Math.log(0.999)] } },
    { ...f32(LOSS_SCALE_STATE), fill: { kind: "values", values: state } },
  ],
  attrs: { growthFactor: 2, backoffFactor: 0.5, growthInterval: 2000, maxNorm },
  tolerance: 1e-6,
}));
