/**
 * A Plan is plain JSON: every dispatch of one whole step in order, with every buffer assigned. It is
 * made once from a graph and replayed; see `planner.ts` for how and `runtime.ts` for the replay.
 */

import { type StagedType, stagingPitchBytes } from "./staging_layout.ts";
import type { DType, TensorType } from "../graph/tensor.ts";

/**
 * A buffer of a plan.
 * @internal
 */
export interface PlanBuffer {
  readonly bytes: number;
  /** `arena` buffers are shared by tensors whose lifetimes do not meet. */
  readonly role: "input" | "state" | "arena" | "params";
  /** Name of the input or state; scopes of the tensors for the arena. */
  readonly name: string;
}

/**
 * A shader of a plan.
 * @internal
 */
export interface PlanShader {
  readonly file: string;
  /** The final text, after specialisation. */
  readonly text: string;
  readonly constants: Readonly<Record<string, number>>;
  readonly layout: readonly { readonly binding: number; readonly access: string }[];
}

/**
 * A staging texture of four elements a texel; see `staging.ts`.
 * @internal
 */
export interface PlanTexture {
  readonly dtype: StagedType;
  readonly rows: number;
}

/** A copy from a buffer into a staging texture, made before a dispatch; see `staging.ts`. */
export interface PlanStage {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
  readonly texture: number;
  /** Bytes of the tensor in the texture that come before; 0 where absent. */
  readonly at?: number;
  /** What it copies stays, see `value_numbering.ts`: nothing else comes into this texture. */
  readonly once?: boolean;
}

/** Bytes of a buffer that are those of a tensor from `at` on. */
export interface PlanPiece {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

/**
 * A range of a buffer that a shader sees.
 * @internal
 */
export interface PlanBinding {
  readonly binding: number;
  readonly name: string;
  /** Where the range is bound as a texture that it was copied to. */
  readonly texture?: number;
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
  /** Of a tensor without memory of its own (see `concat_elision.ts`): the first one begins at `offset`. */
  readonly pieces?: readonly PlanPiece[];
}

/**
 * A dispatch of a plan, and the node that it belongs to.
 * @internal
 */
export interface PlanDispatch {
  readonly shader: number;
  readonly bindings: readonly PlanBinding[];
  readonly workgroups: readonly [number, number, number];
  /** Copies to make first. */
  readonly stage: readonly PlanStage[];
  /** Where it comes from. */
  readonly node: number;
  readonly op: string;
  readonly scope: string;
  readonly phase: string;
  readonly variant: string;
  readonly note: string;
  /** What it writes stays until a state that it reads is written to; see `value_numbering.ts`. */
  readonly once?: boolean;
}

/**
 * Where a tensor lies.
 * @internal
 */
export interface PlanSlot extends TensorType {
  readonly dtype: DType;
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
  /** A tensor without memory of its own (see `concat_elision.ts`): what it is made of. */
  readonly pieces?: readonly PlanPiece[];
  /** Where it lies from that dispatch on, until its last reader (see `texture_residency.ts`). */
  readonly home?: { readonly texture: number; readonly dispatch: number };
}

/** One run of a graph as plain JSON. */
export interface Plan {
  /** All memory but textures. */
  readonly buffers: readonly PlanBuffer[];
  /** What tensors are copied to where textures are read faster. */
  readonly textures: readonly PlanTexture[];
  /** Each once. */
  readonly shaders: readonly PlanShader[];
  /** In order. */
  readonly dispatches: readonly PlanDispatch[];
  /** Words of the buffer whose role is `params`. */
  readonly params: readonly number[];
  /** By name. */
  readonly inputs: Readonly<Record<string, PlanSlot>>;
  /** By name. */
  readonly states: Readonly<Record<string, PlanSlot>>;
  /** By name. */
  readonly outputs: Readonly<Record<string, PlanSlot>>;
  /** After the last dispatch: states whose new value was computed elsewhere. */
  readonly copies: readonly { readonly from: PlanSlot; readonly to: PlanSlot }[];
  /** Every tensor of the graph: `node:index` → place, for audits. */
  readonly tensors: Readonly<Record<string, PlanSlot>>;
}

/**
 * Bytes of all buffers and textures: what the step holds on the device.
 *
 * @example
 * ```ts
 * import { DEFAULT_PROFILE, f32, Graph, OPS, plan, planBytes, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", silu(g.input("x", f32(64))));
 * planBytes(plan(g, OPS, { device: DEFAULT_PROFILE })) >= 512; // true
 * ```
 */
export function planBytes(plan: Plan): number {
  return plan.buffers.reduce((sum, b) => sum + b.bytes, 0) +
    plan.textures.reduce((sum, { dtype, rows }) => sum + rows * stagingPitchBytes(dtype), 0);
}
