/**
 * Buffers copied into textures for kernels that read them as `texture_2d<f32>`.
 *
 * Why: Mesa's software driver loads from storage buffers one lane at a time (200 cycles for 8 lanes
 * on some processors), from textures all lanes at once (15 cycles), and the copy is one memcpy.
 */

import type { PlanStage } from "./plan.ts";

/** Texels (4 floats each) in a row of a staging texture; `kernels/lib/staged.wgsl` says the same. */
export const STAGING_WIDTH = 2048;
/** WebGPU guarantees textures of 8,192 rows; one less is odd. */
export const STAGING_ROWS = 8191;

interface Range {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

const SLOTS = 3;

/** Decides, while a plan is made, which texture holds what, and which copies that takes. */
export class Staging {
  readonly #slots: { rows: number; held?: Range; used: number }[] = [];
  #clock = 0;

  /**
   * Rows of each texture: as many as its largest use needs, and odd, because Mesa compiles a shader
   * anew for textures whose height is a power of two.
   */
  get textures(): number[] {
    return this.#slots.map((s) => Math.max(3, s.rows | 1));
  }

  /** Textures for all the staged ranges of one dispatch, and the copies to make before it. */
  place(ranges: readonly Range[]): { textures: number[]; stage: PlanStage[] } {
    const stage: PlanStage[] = [];
    const now = ++this.#clock;
    const textures = ranges.map((range) => {
      const same = this.#slots.findIndex(({ held }) =>
        held && held.buffer === range.buffer && held.offset === range.offset &&
        held.size === range.size
      );
      if (same >= 0) {
        this.#slots[same].used = now;
        return same;
      }
      const texture = this.#oldest(ranges.length, now);
      const slot = this.#slots[texture];
      slot.held = range;
      slot.used = now;
      slot.rows = Math.max(slot.rows, Math.ceil(range.size / (16 * STAGING_WIDTH)));
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

  #oldest(needed: number, now: number): number {
    if (this.#slots.length < Math.max(SLOTS, needed)) {
      return this.#slots.push({ rows: 1, used: 0 }) - 1;
    }
    let best = -1;
    for (const [i, { used }] of this.#slots.entries()) {
      if (used !== now && (best < 0 || used < this.#slots[best].used)) best = i;
    }
    return best;
  }
}
