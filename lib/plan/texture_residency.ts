/**
 * Tensors that stay in a texture from their first reader to their last, where all that reads them
 * reads textures. What the backward pass reads again is not copied again, and the buffer that a tensor
 * was written to is free once it is copied.
 */

import type { Registry } from "../graph/op.ts";
import { bytesOf, type Node, sizeOf } from "../graph/tensor.ts";
import { FEWEST_ELEMENTS, type Joined, readersOf, readsAsTexture } from "./concat_elision.ts";
import type { Lowered } from "./constant_hoisting.ts";
import { isStagedType, type StagedType, stagingRowBytes } from "./staging.ts";

/** Indices of the nodes that read it first and last. */
export interface Home {
  readonly dtype: StagedType;
  readonly rows: number;
  readonly first: number;
  readonly last: number;
}

/** Key → home, of the tensors that have one. */
export function textureHomes(
  nodes: readonly Node[],
  registry: Registry,
  lowered: ReadonlyMap<Node, Lowered>,
  joined: ReadonlyMap<string, Joined>,
): Map<string, Home> {
  const readers = readersOf(nodes);
  const indexOf = new Map(nodes.map((node, i) => [node, i]));
  const homes = new Map<string, Home>();
  for (const node of nodes) {
    for (const [i, type] of node.outputs.entries()) {
      const key = `${node.id}:${i}`, reading = readers.get(key) ?? [];
      const { dtype } = type;
      if (!reading.length || !isStagedType(dtype)) continue;
      if (sizeOf(type.shape) < FEWEST_ELEMENTS) continue;
      const isTexture = (reader: Node) => readsAsTexture(reader, key, registry, lowered);
      if (!joined.has(key) && !lowered.has(node) || !reading.every(isTexture)) continue;
      // Copies take the bits for those of f32: they need a texture of another format.
      if (dtype !== "f32" && reading.some((r) => readsBits(lowered.get(r)!, r, key))) continue;
      const at = reading.map((r) => indexOf.get(r)!);
      const rows = Math.ceil(bytesOf(type) / stagingRowBytes(dtype));
      homes.set(key, { first: Math.min(...at), last: Math.max(...at), rows, dtype });
    }
  }
  return homes;
}

const readsBits = ({ calls }: Lowered, { inputs }: Node, key: string): boolean =>
  calls.some(({ bindings }) =>
    Object.values(bindings).some((ref) =>
      ref.kind === "input" && ref.bits && inputs[ref.index].key === key
    )
  );

/** Shares textures between tensors that are not read at the same time: key → number of a texture. */
export function shareTextures(
  homes: ReadonlyMap<string, Home>,
): { textures: { dtype: StagedType; rows: number }[]; of: Map<string, number> } {
  const textures: { dtype: StagedType; rows: number; homes: Home[] }[] = [];
  const of = new Map<string, number>();
  // Largest first: each takes the first that is free while it is read.
  const sorted = [...homes].sort(([, a], [, b]) => b.rows - a.rows || a.first - b.first);
  for (const [key, home] of sorted) {
    let at = textures.findIndex((t) =>
      t.dtype === home.dtype && t.homes.every((o) => o.last < home.first || home.last < o.first)
    );
    if (at < 0) at = textures.push({ dtype: home.dtype, rows: home.rows, homes: [] }) - 1;
    textures[at].homes.push(home);
    of.set(key, at);
  }
  return { textures: textures.map(({ dtype, rows }) => ({ dtype, rows })), of };
}
