/** Sizes of one convolution, shared by its three ops. */

import { show, type TensorType } from "../../graph/tensor.ts";
import { requireFloat, requireRank, requireStored, type Stored } from "../common/checks.ts";
import type { WithExtras } from "../common/extras.ts";

/** Zero padding: all sides alike, or [top, left, bottom, right]. */
export type Padding = number | readonly [number, number, number, number];

/** … on each side: what nodes hold. */
export type Sides = readonly [top: number, left: number, bottom: number, right: number];

export interface Conv2dAttrs extends WithExtras, Stored {
  readonly stride: number;
  readonly padding: Sides;
}

export interface Conv2dBackwardDataAttrs extends Conv2dAttrs {
  readonly inputShape: readonly number[];
}

export interface Conv2dBackwardWeightAttrs {
  readonly stride: number;
  readonly padding: Sides;
  readonly weightShape: readonly number[];
}

/** x [n,ci,h,w] · weight [co,ci,kh,kw] → y [n,co,ho,wo]. */
export interface Geometry {
  readonly n: number;
  readonly ci: number;
  readonly h: number;
  readonly w: number;
  readonly co: number;
  readonly ho: number;
  readonly wo: number;
  readonly kh: number;
  readonly kw: number;
  readonly stride: number;
  readonly top: number;
  readonly left: number;
}

export function sides(padding: Padding): [number, number, number, number] {
  return typeof padding === "number" ? [padding, padding, padding, padding] : [...padding];
}

/** Geometry of x and weight of the given shapes; throws where they do not fit. */
export function geometry(
  x: readonly number[],
  weight: readonly number[],
  stride: number,
  padding: Padding,
): Geometry {
  const [n, ci, h, w] = x;
  const [co, wi, kh, kw] = weight;
  const [top, left, bottom, right] = sides(padding);
  if (ci !== wi) {
    throw new Error(
      `input channels ${ci} must equal weight channels ${wi}: input [${x}], weight [${weight}]`,
    );
  }
  if (!Number.isInteger(stride) || stride < 1) {
    throw new Error(`stride ${stride} must be a whole number from 1`);
  }
  if ([top, left, bottom, right].some((p) => !Number.isInteger(p) || p < 0)) {
    throw new Error(`padding [${[top, left, bottom, right]}] must be whole numbers from 0`);
  }
  const ho = Math.floor((h + top + bottom - kh) / stride) + 1;
  const wo = Math.floor((w + left + right - kw) / stride) + 1;
  if (ho < 1 || wo < 1) {
    throw new Error(
      `kernel ${kh}×${kw} must fit into the padded input: input [${x}], ` +
        `padding [${[top, left, bottom, right]}]`,
    );
  }
  return { n, ci, h, w, co, ho, wo, kh, kw, stride, top, left };
}

export function requireImage(name: string, type: TensorType): void {
  requireStored(name, type);
  requireRank(name, type, 4);
}

export function requireWeight(weight: TensorType): void {
  requireFloat("weight", weight);
  requireRank("weight", weight, 4);
}

/** dy must have the shape of the convolution's output. */
export function requireOutput(dy: TensorType, { n, co, ho, wo }: Geometry): void {
  if (dy.shape.join() !== [n, co, ho, wo].join()) {
    throw new Error(`${show("dy", dy)} must have the shape of the output [${[n, co, ho, wo]}]`);
  }
}

/** Fields of `Params` that all generic kernels have. */
export function geometryParams(g: Geometry): Record<string, number> {
  const { n, ...rest } = g;
  return { batch: n, ...rest };
}

/** Multiplications and additions of any of the three ops. */
export function convolutionFlops(g: Geometry): number {
  return 2 * g.n * g.co * g.ho * g.wo * g.ci * g.kh * g.kw;
}
