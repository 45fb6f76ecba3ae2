/**
 * Buffers copied into textures for kernels that read them as
 * `texture_storage_2d<rgba32float, read>`, or, where the tensor is f16, as `rgba16float`.
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

/**
 * Texels from row to row. Four more, a cache line: the planes of an image lie a power of two apart,
 * and without the gap the same place of all channels would contend for the same lines of the caches.
 */
export const STAGING_PITCH = STAGING_WIDTH + 4;

export const STAGED_FORMATS = { f32: "rgba32float", f16: "rgba16float" } as const;

/** Bytes of the tensor in a row of a staging texture. */
export const stagingRowBytes = (dtype: StagedType): number => 4 * STAGING_WIDTH * bytesPer(dtype);

/** Bytes of a row with its gap. */
export const stagingPitchBytes = (dtype: StagedType): number => 4 * STAGING_PITCH * bytesPer(dtype);

export function isStagedType(dtype: DType): dtype is StagedType {
  return dtype === "f32" || dtype === "f16";
}

interface Range {
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
}

/**
 * `each run`: copied in every run; `once`: for a dispatch that runs once; `kept`: written by such a
 * dispatch, read by others. Slots are not shared between uses: what is not copied in every run must
 * not be looked for, nor be overwritten, in every run.
 */
type Use = "each run" | "once" | "kept";

export interface StagedRange extends Range {
  readonly dtype: StagedType;
  readonly use: Use;
}

/** Textures of each kind that are kept, so that what several kernels read is copied once. */
const SLOTS = 3;
/** Weights and the like, up to 2 MiB, have textures of their own: images would push them out. */
const SMALL_ROWS = 64;

interface Slot {
  readonly dtype: StagedType;
  readonly use: Use;
  readonly small: boolean;
  rows: number;
  held?: Range;
  used: number;
}

const same = (a: Range, b: Range) =>
  a.buffer === b.buffer && a.offset === b.offset && a.size === b.size;

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
    const find = ({ dtype, use, ...range }: StagedRange) =>
      this.#slots.find((slot) =>
        slot.held && slot.dtype === dtype && slot.use === use && same(slot.held, range)
      );
    // What is there already stays: these slots are not for the others.
    for (const range of ranges) {
      const slot = find(range);
      if (slot) slot.used = now;
    }
    const textures = ranges.map((range) => {
      const slot = find(range) ?? this.#fill(range, now, stage);
      return this.#slots.indexOf(slot);
    });
    return { textures, stage };
  }

  #fill({ dtype, use, ...range }: StagedRange, now: number, stage: PlanStage[]): Slot {
    const rows = Math.ceil(range.size / stagingRowBytes(dtype));
    const slot = this.#oldest({ dtype, use, small: rows <= SMALL_ROWS }, rows, now);
    slot.held = range;
    slot.used = now;
    slot.rows = Math.max(slot.rows, rows);
    const isOnce = use !== "each run";
    stage.push({ ...range, texture: this.#slots.indexOf(slot), ...(isOnce ? { once: true } : {}) });
    return slot;
  }

  /** What was copied from the range is out of date, or nobody reads it any more. */
  forget(range: Range): void {
    for (const slot of this.#slots) {
      const { held } = slot;
      if (
        held && held.buffer === range.buffer && held.offset < range.offset + range.size &&
        range.offset < held.offset + held.size
      ) slot.held = undefined;
    }
  }

  /**
   * Of its kind, never one that this dispatch uses: the slot that holds nothing and fits best, or a
   * new one, or the one used longest ago.
   */
  #oldest(of: Pick<Slot, "dtype" | "use" | "small">, rows: number, now: number): Slot {
    const kind = this.#slots.filter((s) =>
      s.dtype === of.dtype && s.use === of.use && s.small === of.small
    );
    const free = kind.filter((s) => s.used !== now);
    const empty = of.use === "each run" ? free.filter((s) => !s.held) : [];
    if (empty.length) {
      const excess = (s: Slot) => s.rows < rows ? STAGING_ROWS + rows - s.rows : s.rows - rows;
      return empty.reduce((a, b) => excess(b) < excess(a) ? b : a);
    }
    if (of.use === "kept" || free.length === 0 || kind.length < SLOTS) {
      const slot = { ...of, rows: 1, used: 0 };
      this.#slots.push(slot);
      return slot;
    }
    return free.reduce((a, b) => b.used < a.used ? b : a);
  }
}
