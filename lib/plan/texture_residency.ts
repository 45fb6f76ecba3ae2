/**
 * Tensors that stay in a texture from their first reader to their last, where all that reads them
 * reads textures. What the backward pass reads again is not copied again, and the buffer that a tensor
 * was written to is free once it is copied.
 */

import { bytesOf, type Node, sizeOf } from "../graph/tensor.ts";
import { FEWEST_ELEMENTS, readersOf, readsAsTexture } from "./concat_elision.ts";
import type { Schedule, ScheduledNode } from "./schedule.ts";
import { isStagedType, type StagedType, stagingRowBytes } from "./staging_layout.ts";

/** Indices of the nodes that read it first and last. */
export interface Residency {
  readonly dtype: StagedType;
  readonly rows: number;
  readonly first: number;
  readonly last: number;
}

/** Fills `schedule.resident`. */
export function keepInTextures(schedule: Schedule): void {
  const { nodes, scheduled, elided, resident } = schedule;
  const readers = readersOf(nodes);
  const indexOf = new Map(nodes.map((node, i) => [node, i]));
  for (const node of nodes) {
    for (const [i, type] of node.outputs.entries()) {
      const key = `${node.id}:${i}`, reading = readers.get(key) ?? [];
      const { dtype } = type;
      if (!reading.length || !isStagedType(dtype)) continue;
      if (sizeOf(type.shape) < FEWEST_ELEMENTS) continue;
      const isTexture = (reader: Node) => readsAsTexture(schedule, reader, key);
      if (!elided.has(key) && !scheduled.has(node) || !reading.every(isTexture)) continue;
      // Copies take the bits for those of f32: they need a texture of another format.
      if (dtype !== "f32" && reading.some((r) => readsBits(scheduled.get(r)!, key))) continue;
      const at = reading.map((r) => indexOf.get(r)!);
      const rows = Math.ceil(bytesOf(type) / stagingRowBytes(dtype));
      resident.set(key, { first: Math.min(...at), last: Math.max(...at), rows, dtype });
    }
  }
}

const readsBits = ({ calls, node: { inputs } }: ScheduledNode, key: string): boolean =>
  calls.some(({ call }) =>
    Object.values(call.bindings).some((ref) =>
      ref.kind === "input" && ref.bits && inputs[ref.index].key === key
    )
  );

/** Shares textures between tensors that are not read at the same time: key → number of a texture. */
export function shareTextures(
  resident: ReadonlyMap<string, Residency>,
): { textures: { dtype: StagedType; rows: number }[]; of: Map<string, number> } {
  const textures: { dtype: StagedType; rows: number; tensors: Residency[] }[] = [];
  const of = new Map<string, number>();
  // Largest first: each takes the first that is free while it is read.
  const sorted = [...resident].sort(([, a], [, b]) => b.rows - a.rows || a.first - b.first);
  for (const [key, one] of sorted) {
    let at = textures.findIndex((t) =>
      t.dtype === one.dtype && t.tensors.every((o) => o.last < one.first || one.last < o.first)
    );
    if (at < 0) at = textures.push({ dtype: one.dtype, rows: one.rows, tensors: [] }) - 1;
    textures[at].tensors.push(one);
    of.set(key, at);
  }
  return { textures: textures.map(({ dtype, rows }) => ({ dtype, rows })), of };
}
