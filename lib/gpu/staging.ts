/**
 * Buffers copied into textures for kernels that read them as `texture_2d<f32>`.
 *
 * Why: Mesa's software driver loads from storage buffers one lane at a time (200 cycles for 8 lanes
 * on some processors), from textures all lanes at once (15 cycles), and the copy is one memcpy.
 */

import { bytesPer, type DType } from "../graph/tensor.ts";
import type { PlanStage, PlanTexture } from "./plan.ts";

/** Types that textures hold as `rgba32float` and `rgba16float`; read from either they are f32. */
export type StagedType = "f32" | "f16";

/** Texels (4 floats each) in a row of a staging texture; `kernels/lib/staged.wgsl` says the same. */
export const STAGING_WIDTH = 2048;
/** WebGPU guarantees textures of 8,192 rows; one less is odd. */
export const STAGING_ROWS = 8191;

/** Bytes of a row of a staging texture. */
export const stagingRowBytes = (dtype: StagedType): number => 4 * STAGING_WIDTH * bytesPer(dtype);

export function isStagedType(dtype: DType): dtype is StagedType {
  return dtype === "f32" || dtype === "f16";
}

interface Range {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

export interface StagedRange extends Range {
  readonly dtype: StagedType;
}

/** Textures of each type that are kept before one is used again. */
const SLOTS = 3;

interface Slot {
  readonly dtype: StagedType;
  rows: number;
  held?: Range;
  used: number;
}

/** Decides, while a plan is made, which texture holds what, and which copies that takes. */
export class Staging {
  readonly #slots: Slot[] = [];
  #clock = 0;

  /**
   * As many rows as the largest use needs, and an odd number, because Mesa compiles a shader anew for
   * textures whose height is a power of two.
   */
  get textures(): PlanTexture[] {
    return this.#slots.map(({ dtype, rows }) => ({ dtype, rows: Math.max(3, rows | 1) }));
  }

  /** Textures for all the staged ranges of one dispatch, and the copies to make before it. */
  place(ranges: readonly StagedRange[]): { textures: number[]; stage: PlanStage[] } {
    const stage: PlanStage[] = [];
    const now = ++this.#clock;
    const textures = ranges.map(({ dtype, ...range }) => {
      const same = this.#slots.findIndex(({ held, ...slot }) =>
        held && slot.dtype === dtype && held.buffer === range.buffer &&
        held.offset === range.offset && held.size === range.size
      );
      if (same >= 0) {
        this.#slots[same].used = now;
        return same;
      }
      const alike = ranges.filter((r) => r.dtype === dtype).length;
      const texture = this.#oldest(dtype, alike, now);
      const slot = this.#slots[texture];
      slot.held = range;
      slot.used = now;
      slot.rows = Math.max(slot.rows, Math.ceil(range.size / stagingRowBytes(dtype)));
      stage.push({ ...range, texture });
      return texture;
    });
    return { textures, stage };
  }

  /** A dispatch has written the range: what was copied from it is out of date. */
  wrote(range: Range): void {
    for (const slot of this.#slots) {
      const { held } = slot;
      if (
        held && held.buffer === range.buffer && held.offset < range.offset + range.size &&
        range.offset < held.offset + held.size
      ) slot.held = undefined;
    }
  }

  #oldest(dtype: StagedType, needed: number, now: number): number {
    if (this.#slots.filter((s) => s.dtype === dtype).length < Math.max(SLOTS, needed)) {
      return this.#slots.push({ dtype, rows: 1, used: 0 }) - 1;
    }
    let best = -1;
    for (const [i, slot] of this.#slots.entries()) {
      if (slot.dtype !== dtype || slot.used === now) continue;
      if (best < 0 || slot.used < this.#slots[best].used) best = i;
    }
    return best;
  }
}
