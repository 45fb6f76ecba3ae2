/** gradient_clip: shapes and tolerances for tests, gradient checks, audit and benchmark. */

import { f32, i32 } from "../common/checks.ts";
import { ADAMW_HYPER } from "../optimizer/shared.ts";
import type { OpCase } from "../../graph/op.ts";
import { CLIP_BLOCK, type GradientClipAttrs } from "./shared.ts";

// Sums of squares, in chains of at most 32 · 16 terms; the root halves the error.
export const gradientClipCases: readonly OpCase<GradientClipAttrs>[] = [
  { name: "clips, with gaps", blocks: 5, maxNorm: 2, filled: [64, 1, 0, 33, 62] },
  { name: "leaves alone", blocks: 5, maxNorm: 1e6, filled: [63, 2, 0, 35, 64] },
  { name: "tiny", blocks: 1, maxNorm: 1e-7, filled: [64], std: 1e-7 },
  { name: "whole workgroups", blocks: 2048, maxNorm: 1, filled: [64, 64, 60] },
  { name: "many workgroups", blocks: 2222, maxNorm: 1, filled: [64, 64, 7] },
].map(({ name, blocks, maxNorm, filled, std = 1 }) => ({
  name,
  inputs: [
    { ...f32(CLIP_BLOCK * blocks), fill: { kind: "normal", std } },
    { ...i32(blocks), fill: { kind: "values", values: filled } },
    { ...f32(ADAMW_HYPER), fill: { kind: "uniform", low: 0.5, high: 1 } },
  ],
  attrs: { maxNorm },
  tolerance: 1e-6,
}));
