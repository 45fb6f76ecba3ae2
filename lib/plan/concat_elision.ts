/**
 * Tensors without memory of their own: inputs joined end to end (concat), or a part of one (slice),
 * where all that reads the result reads it from a staging texture. That is filled from the inputs.
 * Or two inputs joined, where all that reads them is kernels that can read two buffers.
 */

import type { KernelCall } from "../graph/kernel_call.ts";
import { bytesPer, type Node, sizeOf, type Tensor } from "../graph/tensor.ts";
import type { Schedule } from "./schedule.ts";
import { shaderInterface } from "./wgsl.ts";

/** Bytes of the tensor `source` that make up bytes from `at` on. */
export interface ElidedPiece {
  readonly source: string;
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

/** Two tensors, one after the other in each image, whose readers read both. */
export interface TwoTensors {
  readonly sources: readonly [Tensor, Tensor];
  /** Elements of an image. */
  readonly sizes: readonly [number, number];
}

export interface ElidedConcat {
  readonly pieces: readonly ElidedPiece[];
  /** Where it is not copied to a texture, but read from both buffers. */
  readonly two?: TwoTensors;
}

/** Of fewer elements none is worth the commands: a copy for each input and image. */
export const FEWEST_ELEMENTS = 2 ** 14;

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

/** Fills `schedule.elided`; what it names is computed by no call any more. */
export function elideConcats(schedule: Schedule): void {
  const { graph, nodes, registry, places, scheduled, elided } = schedule;
  const { limits } = schedule.device;
  const own = new Set(
    [...graph.inputs.values(), ...graph.states.values()].map((t) => places.get(t.key)!.allocation),
  );
  const readers = readersOf(nodes);
  const handedOut = new Set(
    [...graph.outputs.values(), ...graph.updates.values()].map((t) => t.key),
  );
  const inPlace = new Set(
    nodes.flatMap((node) =>
      Object.keys(registry[node.op]?.inPlace ?? {}).map((i) =>
        places.get(`${node.id}:${i}`)!.allocation
      )
    ),
  );
  for (const node of nodes) {
    const key = `${node.id}:0`;
    const made = registry[node.op]?.pieces?.(node.inputs, node.outputs, node.attrs);
    if (!made || handedOut.has(key)) continue;
    const memory = places.get(key)!.allocation;
    if (memory.name !== key || inPlace.has(memory)) continue;
    const scale = bytesPer(node.outputs[0].dtype);
    const pieces = made.map(({ input, offset, size, at }): ElidedPiece => ({
      source: node.inputs[input].key,
      offset: offset * scale,
      size: size * scale,
      at: at * scale,
    }));
    const stays = ({ source }: ElidedPiece) =>
      !elided.has(source) && !inPlace.has(places.get(source)!.allocation);
    const isCopied = (p: ElidedPiece) => {
      const place = places.get(p.source)!;
      return !own.has(place.allocation) &&
        [place.offset, p.offset, p.size, p.at].every((n) => n % 16 === 0);
    };
    const isTexture = (reader: Node) => readsAsTexture(schedule, reader, key);
    const reading = readers.get(key) ?? [];
    if (!pieces.every(stays)) continue;
    const isLarge = sizeOf(node.outputs[0].shape) >= FEWEST_ELEMENTS;
    if (isLarge && pieces.every(isCopied) && reading.every(isTexture)) {
      elided.set(key, { pieces });
      continue;
    }
    const two = twoOf(node, pieces);
    const isOfTwo = (reader: Node) =>
      readsEach(
        schedule,
        reader,
        key,
        ({ kernel }, name) =>
          name === "x" && kernel.ofTwo !== undefined &&
          two!.sizes.every((n) => n % kernel.ofTwo!.width === 0) &&
          shaderInterface(kernel.ofTwo.source).bindings.filter((b) => b.access.startsWith("read"))
              .length <= limits.maxStorageBuffersPerShaderStage,
      );
    if (two && reading.every(isOfTwo)) elided.set(key, { pieces, two });
  }
  for (const key of elided.keys()) {
    scheduled.delete(nodes.find((node) => `${node.id}:0` === key)!);
  }
}

/** Of a node whose pieces are two tensors by turns, each from its beginning to its end. */
function twoOf({ inputs }: Node, pieces: readonly ElidedPiece[]): TwoTensors | undefined {
  const inOrder = pieces.toSorted((p, q) => p.at - q.at);
  const [a, b] = inOrder;
  if (!b || pieces.length % 2) return undefined;
  const byTurns = inOrder.every((p, i) => {
    const [image, of] = [Math.floor(i / 2), i % 2 ? b : a];
    return p.source === of.source && p.size === of.size && p.offset === image * of.size &&
      p.at === image * (a.size + b.size) + (i % 2) * a.size;
  });
  if (!byTurns) return undefined;
  const [first, rest] = [a, b].map((p) => inputs.find((t) => t.key === p.source)!);
  const scale = bytesPer(first.dtype);
  return { sources: [first, rest], sizes: [a.size / scale, b.size / scale] };
}

/** The call with its x read from both tensors; `two`: what there is instead of an input of the node. */
export function callOfTwo(
  call: KernelCall,
  two: (input: number) => TwoTensors | undefined,
): { call: KernelCall; sources?: Readonly<Record<string, Tensor>> } {
  const { x } = call.bindings;
  const ofTwo = call.kernel.ofTwo;
  const found = ofTwo && x?.kind === "input" ? two(x.index) : undefined;
  if (!ofTwo || !found) return { call };
  const [FIRST, REST] = found.sizes.map((n) => n / ofTwo.width);
  return {
    sources: { x: found.sources[0], x_rest: found.sources[1] },
    call: {
      ...call,
      kernel: ofTwo.source,
      constants: { ...call.constants, FIRST, REST },
      bindings: { ...call.bindings, x_rest: x },
    },
  };
}

/** Whether a node's calls see the tensor in textures only, and whole. */
export function readsAsTexture(schedule: Schedule, node: Node, key: string): boolean {
  return readsEach(
    schedule,
    node,
    key,
    ({ kernel }, name) =>
      shaderInterface(kernel).bindings.some((b) => b.name === name && b.access === "texture"),
  );
}

/** Whether a node's calls see the tensor whole, and each so that `suits` is true of it. */
function readsEach(
  { registry, scheduled }: Schedule,
  node: Node,
  key: string,
  suits: (call: KernelCall, variable: string) => boolean,
): boolean {
  const of = scheduled.get(node);
  const shared = Object.values(registry[node.op]?.inPlace ?? {});
  if (!of || shared.some((i) => node.inputs[i].key === key)) return false;
  return of.calls.every(({ call }) =>
    Object.entries(call.bindings).every(([name, ref]) =>
      ref.kind !== "input" || node.inputs[ref.index].key !== key ||
      (ref.offset === undefined && suits(call, name))
    )
  );
}
