/**
 * Buffers copied into textures for kernels that read them as
 * `texture_storage_2d<rgba32float, read>`, or, where the tensor is f16, as `rgba16float`.
 *
 * Why: Mesa's software driver loads from storage buffers one lane at a time (200 cycles for 8 lanes
 * on some processors), from textures all lanes at once (15 cycles), and the copy is one memcpy.
 */

import type { PlanPiece, PlanStage, PlanTexture } from "./plan.ts";
import { type StagedType, STAGING_ROWS, STAGING_WIDTH, stagingRowBytes } from "./staging_layout.ts";

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

/** A texture that holds the tensor until its last reader; `fill`: this is the first. */
export interface StagedHome {
  readonly texture: number;
  readonly fill: boolean;
}

export interface Staged {
  /** In the tensor's order. */
  readonly pieces: readonly PlanPiece[];
  readonly dtype: StagedType;
  readonly use: Use;
  readonly home?: StagedHome;
}

export interface TexelCopy {
  /** Bytes in the buffer. */
  readonly offset: number;
  /** Texels. */
  readonly origin: readonly [number, number];
  readonly extent: readonly [number, number];
}

/** A stage as copies of rectangles: the rest of a begun row, whole rows, the beginning of one. */
export function texelCopies(
  { offset, size, at = 0 }: Pick<PlanStage, "offset" | "size" | "at">,
  dtype: StagedType,
): TexelCopy[] {
  const row = stagingRowBytes(dtype), texel = row / STAGING_WIDTH;
  const copies: TexelCopy[] = [];
  for (let done = 0; done < size;) {
    const column = (at + done) % row, left = size - done;
    const bytes = column || left < row ? Math.min(row - column, left) : left - left % row;
    copies.push({
      offset: offset + done,
      origin: [column / texel, Math.floor((at + done) / row)],
      extent: [Math.min(row, bytes) / texel, Math.ceil(bytes / row)],
    });
    done += bytes;
  }
  return copies;
}

/** Textures of each kind that are kept, so that what several kernels read is copied once. */
const SLOTS = 3;
/** Weights and the like, up to 2 MiB, have textures of their own: images would push them out. */
const SMALL_ROWS = 64;

interface Slot {
  readonly dtype: StagedType;
  readonly use: Use | "home";
  readonly small: boolean;
  rows: number;
  held?: readonly PlanPiece[];
  used: number;
}

const same = (a: readonly PlanPiece[], b: readonly PlanPiece[]) =>
  a.length === b.length && a.every((p, i) => {
    const q = b[i];
    return p.buffer === q.buffer && p.offset === q.offset && p.size === q.size && p.at === q.at;
  });

const copiesOf = (pieces: readonly PlanPiece[], texture: number, use: Use): PlanStage[] =>
  pieces.map(({ at, ...range }) => ({
    ...range,
    texture,
    ...(at ? { at } : {}),
    ...(use === "each run" ? {} : { once: true }),
  }));

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

  /** A texture that only homes are given. */
  reserve({ dtype, rows }: PlanTexture): number {
    return this.#slots.push({ dtype, rows, use: "home", small: false, used: 0 }) - 1;
  }

  /** Textures for all the staged tensors of one dispatch, and the copies to make before it. */
  place(tensors: readonly Staged[]): { textures: number[]; stage: PlanStage[] } {
    const stage: PlanStage[] = [];
    const now = ++this.#clock;
    const find = ({ dtype, use, pieces }: Staged) =>
      this.#slots.find((slot) =>
        slot.held && slot.dtype === dtype && slot.use === use && same(slot.held, pieces)
      );
    // What is there already stays: these slots are not for the others.
    for (const tensor of tensors) {
      const slot = find(tensor);
      if (slot) slot.used = now;
    }
    const textures = tensors.map((tensor) => {
      const { home, pieces, use } = tensor;
      if (home?.fill) stage.push(...copiesOf(pieces, home.texture, use));
      if (home) return home.texture;
      const slot = find(tensor) ?? this.#fill(tensor, now, stage);
      return this.#slots.indexOf(slot);
    });
    return { textures, stage };
  }

  #fill({ dtype, use, pieces }: Staged, now: number, stage: PlanStage[]): Slot {
    const bytes = Math.max(...pieces.map((p) => p.at + p.size));
    const rows = Math.ceil(bytes / stagingRowBytes(dtype));
    const slot = this.#oldest({ dtype, use, small: rows <= SMALL_ROWS }, rows, now);
    slot.held = pieces;
    slot.used = now;
    slot.rows = Math.max(slot.rows, rows);
    stage.push(...copiesOf(pieces, this.#slots.indexOf(slot), use));
    return slot;
  }

  /** What was copied from the range is out of date, or nobody reads it any more. */
  forget(range: Range): void {
    const isOf = (p: PlanPiece) =>
      p.buffer === range.buffer && p.offset < range.offset + range.size &&
      range.offset < p.offset + p.size;
    for (const slot of this.#slots) if (slot.held?.some(isOf)) slot.held = undefined;
  }

  /**
   * Of its kind, never one that this dispatch uses: the slot that holds nothing and fits best, or a
   * new one, or the one used longest ago.
   */
  #oldest(of: Pick<Slot, "dtype" | "small"> & { use: Use }, rows: number, now: number): Slot {
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
