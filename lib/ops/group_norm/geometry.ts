/** Shapes of group normalisation that its forward and backward ops share. */

import type { OpCase } from "../../graph/op.ts";
import { sameShape, show, type TensorType } from "../../graph/tensor.ts";
import { f32, requireFloat, requireRank, requireStored, type Stored } from "../common/checks.ts";

export interface GroupNormStatsAttrs {
  readonly groups: number;
  readonly eps: number;
}

export interface SiluAttrs {
  /** Whether SiLU follows. */
  readonly silu: boolean;
}

export interface GroupNormApplyAttrs extends SiluAttrs, Stored {
  readonly groups: number;
}

export interface GroupNormTotalsAttrs {
  readonly groups: number;
  /** Of an image. */
  readonly pixels: number;
}

export function dimensions(x: TensorType, groups: number) {
  const [batch, channels, height, width] = x.shape;
  const pixels = height * width;
  const groupChannels = channels / groups;
  return { batch, channels, pixels, groupChannels, size: groupChannels * pixels };
}

export function requireGroups(x: TensorType, groups: number): void {
  requireStored("x", x);
  requireRank("x", x, 4);
  if (!(Number.isInteger(groups) && groups > 0 && x.shape[1] % groups === 0)) {
    throw new Error(`groups ${groups} must divide channels ${x.shape[1]} of ${show("x", x)}`);
  }
  const { size } = dimensions(x, groups);
  if (size >= 2 ** 24) {
    throw new Error(
      `groups ${groups} of ${show("x", x)} have ${size} elements, required under ${2 ** 24}`,
    );
  }
}

export function requireParts(
  x: TensorType,
  stats: TensorType,
  weight: TensorType,
  bias: TensorType,
) {
  const groups = stats.shape[1];
  requireGroups(x, groups);
  if (!sameShape(stats.shape, [x.shape[0], groups, 2])) {
    throw new Error(`${show("stats", stats)} must be [${x.shape[0]},${groups},2]`);
  }
  for (const [name, t] of [["weight", weight], ["bias", bias]] as const) {
    requireFloat(name, t);
    if (!sameShape(t.shape, [x.shape[1]])) {
      throw new Error(`${show(name, t)} must be [${x.shape[1]}], the channels of ${show("x", x)}`);
    }
  }
}

/** Means about 0, rstd about 1. */
export function positive(...shape: number[]): OpCase["inputs"][0] {
  return { ...f32(...shape), fill: { kind: "values", values: [0.25, 1.5, -0.75, 0.5, 1.25, 2] } };
}
