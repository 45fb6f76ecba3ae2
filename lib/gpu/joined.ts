/**
 * Tensors without memory of their own: inputs joined end to end (concat), or a part of one (slice),
 * where all that reads the result reads it from a staging texture. That is filled from the inputs.
 */

import type { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import { bytesOf, bytesPer, type Node } from "../graph/tensor.ts";
import type { Lowered } from "./once.ts";
import type { Place } from "./storage.ts";
import { shaderInterface } from "./wgsl.ts";

/** Bytes of the tensor `source` that make up bytes from `at` on. */
export interface JoinedPiece {
  readonly source: string;
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

/** Smaller ones are not worth the commands: a copy for each input and image. */
export const FEWEST_BYTES = 2 ** 16;

/** Key → the nodes that read it, in order. */
export function readersOf(nodes: readonly Node[]): Map<string, Node[]> {
  const readers = new Map<string, Node[]>();
  for (const node of nodes) {
    for (const key of new Set(node.inputs.map((t) => t.key))) {
      readers.set(key, [...readers.get(key) ?? [], node]);
    }
  }
  return readers;
}

/**
 * Key → pieces of the tensors that need no memory.
 *
 * @param own roots that have buffers of their own (inputs and states).
 */
export function joinedTensors(
  graph: Graph,
  nodes: readonly Node[],
  registry: Registry,
  lowered: ReadonlyMap<Node, Lowered>,
  places: ReadonlyMap<string, Place>,
  own: ReadonlySet<string>,
): Map<string, JoinedPiece[]> {
  const readers = readersOf(nodes);
  const handedOut = new Set(
    [...graph.outputs.values(), ...graph.updates.values()].map((t) => t.key),
  );
  const inPlace = new Set(
    nodes.flatMap((node) =>
      Object.keys(registry[node.op]?.inPlace ?? {}).map((i) => places.get(`${node.id}:${i}`)!.root)
    ),
  );
  const joined = new Map<string, JoinedPiece[]>();
  for (const node of nodes) {
    const key = `${node.id}:0`;
    const made = registry[node.op]?.pieces?.(node.inputs, node.outputs, node.attrs);
    if (!made || handedOut.has(key) || bytesOf(node.outputs[0]) < FEWEST_BYTES) continue;
    const { root } = places.get(key)!;
    if (root !== key || inPlace.has(root)) continue;
    const scale = bytesPer(node.outputs[0].dtype);
    const pieces = made.map(({ input, offset, size, at }): JoinedPiece => ({
      source: node.inputs[input].key,
      offset: offset * scale,
      size: size * scale,
      at: at * scale,
    }));
    const isWhole = (p: JoinedPiece) => {
      const place = places.get(p.source)!;
      return !joined.has(p.source) && !own.has(place.root) && !inPlace.has(place.root) &&
        [place.offset, p.offset, p.size, p.at].every((n) => n % 16 === 0);
    };
    const isTexture = (reader: Node) => readsAsTexture(reader, key, registry, lowered);
    if (pieces.every(isWhole) && (readers.get(key) ?? []).every(isTexture)) joined.set(key, pieces);
  }
  return joined;
}

/** Whether a node's calls see the tensor in textures only, and whole. */
export function readsAsTexture(
  node: Node,
  key: string,
  registry: Registry,
  lowered: ReadonlyMap<Node, Lowered>,
): boolean {
  const low = lowered.get(node);
  const shared = Object.values(registry[node.op]?.inPlace ?? {});
  if (!low || shared.some((i) => node.inputs[i].key === key)) return false;
  return low.calls.every(({ kernel, bindings }) => {
    const access = new Map(shaderInterface(kernel).bindings.map((b) => [b.name, b.access]));
    return Object.entries(bindings).every(([name, ref]) =>
      ref.kind !== "input" || node.inputs[ref.index].key !== key ||
      (access.get(name) === "texture" && ref.offset === undefined)
    );
  });
}
