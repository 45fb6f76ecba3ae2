/**
 * Scratch memory that several nodes would fill alike is filled once. Two kinds of it are worth the
 * memory for as long as they stay:
 *
 * - Constants, as packed weights are where nothing is trained: made of states that no run of the plan
 *   changes. Their calls are hoisted out of the run: they run once, and again when somebody has
 *   written to these states.
 * - What several nodes start from: Winograd's transform of an image, for the convolution and for the
 *   gradient by its weight.
 */

import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import type { Variant } from "../graph/op.ts";
import type { Node } from "../graph/tensor.ts";
import type { Allocation, Place, Schedule, ScheduledCall, ScheduledNode } from "./schedule.ts";
import { shaderInterface } from "./wgsl.ts";

/** Bytes of kept transforms at most, over the whole plan: the smallest first, as all save about as much a byte. */
export const KEPT_BYTES = 2 ** 28;

/** Nodes, in order, that start from the same transform and whose variants can keep it. */
export function transformGroups(
  nodes: readonly Node[],
  chosen: ReadonlyMap<Node, Variant>,
  most = KEPT_BYTES,
): readonly (readonly Node[])[] {
  const groups = new Map<string, { bytes: number; nodes: Node[] }>();
  for (const node of nodes) {
    const kept = chosen.get(node)?.kept;
    if (!kept) continue;
    const name = `${node.inputs[kept.input].key} ${kept.bytes}`;
    const group = groups.get(name) ?? { bytes: kept.bytes, nodes: [] };
    group.nodes.push(node);
    groups.set(name, group);
  }
  let left = most;
  return [...groups.values()].filter((g) => g.nodes.length > 1)
    .sort((a, b) => a.bytes - b.bytes)
    .filter(({ bytes }) => {
      left -= bytes;
      return left >= 0;
    })
    .map((g) => g.nodes);
}

/** Scratch memory that is a function of tensors alone. */
interface Value {
  /** Equal for the same content. */
  readonly number: string;
  /** The calls that fill it, in order. */
  readonly calls: readonly ScheduledCall[];
  readonly allocation: Allocation;
  readonly isConstant: boolean;
  /**
   * Made of tensors alone, not of other scratch memory: nothing is written over in between, as the
   * products of one chunk of images are by those of the next.
   */
  readonly isTransform: boolean;
}

type Numbered = Pick<Schedule, "places" | "scheduled" | "transformGroups">;

/**
 * Sets when each call runs, and lets nodes share scratch memory.
 *
 * @param constant memory of the states that the plan leaves as they are.
 */
export function numberValues(
  { places, scheduled, transformGroups }: Numbered,
  constant: ReadonlySet<Allocation>,
): void {
  const groupOf = new Map(transformGroups.flatMap((group, i) => group.map((node) => [node, i])));
  const known = new Map<string, Value>();
  for (const of of scheduled.values()) {
    for (const value of valuesOf(of, places, constant)) {
      const group = groupOf.get(of.node);
      if (!value.isConstant && (group === undefined || !value.isTransform)) continue;
      const key = value.isConstant ? value.number : `${group} ${value.number}`;
      const earlier = known.get(key);
      if (!earlier) known.set(key, value);
      for (const call of value.calls) {
        call.runs = earlier ? "never" : value.isConstant ? "once" : "each run";
      }
      if (earlier) of.scratch[of.scratch.indexOf(value.allocation)] = earlier.allocation;
    }
  }
}

/** Memory of the states that no run of the plan changes. */
export function constantStates({ graph, registry, nodes, places }: Schedule): Set<Allocation> {
  const constant = new Set(
    [...graph.states].filter(([name]) => !graph.updates.has(name))
      .map(([, t]) => places.get(t.key)!.allocation),
  );
  for (const node of nodes) {
    if (!registry[node.op]?.inPlace) continue;
    node.outputs.forEach((_, i) => constant.delete(places.get(`${node.id}:${i}`)!.allocation));
  }
  return constant;
}

function valuesOf(
  { node, calls, scratch }: ScheduledNode,
  places: ReadonlyMap<string, Place>,
  constant: ReadonlySet<Allocation>,
): Value[] {
  /** By index of the node's scratch memory, in the order in which it is filled. */
  const values = new Map<number, Value>();
  const filled = new Set(
    calls.flatMap(({ call }) => writesOf(call)).filter((ref) => ref.kind === "scratch")
      .map((ref) => ref.index),
  );
  for (const index of filled) {
    const allocation = scratch[index];
    const fills = calls.filter(({ call }) =>
      writesOf(call).some((ref) => ref.kind === "scratch" && ref.index === index)
    );
    let isValue = fills.every(({ call }) => writesOf(call).length === 1);
    let isConstant = isValue, isTransform = isValue;
    const recipes = fills.map(({ call }) => {
      const bound = Object.entries(call.bindings).map(([name, ref]) => {
        const { kind, index: at, ...range } = ref;
        if (kind === "scratch" && at === index) return [name, "itself", range];
        const value = kind === "scratch" ? values.get(at) : undefined;
        const place = kind === "input" ? places.get(node.inputs[at].key)! : undefined;
        isValue &&= value !== undefined || place !== undefined;
        isTransform &&= place !== undefined;
        const ofConstant = place !== undefined && constant.has(place.allocation);
        isConstant &&= value?.isConstant ?? ofConstant;
        // Views of a constant are the same by their place; what changes in place is another tensor.
        const source = ofConstant
          ? [place.allocation.name, place.offset]
          : kind === "input" && node.inputs[at].key;
        return [name, value?.number ?? source, range];
      });
      const { kernel: { file, text }, note: _, bindings: __, ...rest } = call;
      return [file, text, rest, bound];
    });
    if (!isValue) continue;
    const number = JSON.stringify([allocation.bytes, recipes]);
    values.set(index, { number, calls: fills, allocation, isConstant, isTransform });
  }
  return [...values.values()];
}

const writesOf = ({ kernel, bindings }: KernelCall): BufferRef[] =>
  shaderInterface(kernel).bindings.filter((b) => b.access === "read_write")
    .map((b) => bindings[b.name]);
