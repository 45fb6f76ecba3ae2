/**
 * Graph → Graph, after differentiation and fusion and before planning: images and their gradients
 * stored as f16. Every kernel still computes and sums in f32; parameters, their gradients, statistics,
 * the loss and whatever a graph takes in or hands out stay f32.
 */

import type { Graph } from "../graph/graph.ts";
import type { DeviceKind, Registry } from "../graph/op.ts";
import type { Node, Precision } from "../graph/tensor.ts";
import { GraphCopy } from "./copy.ts";

/**
 * Whether images become f16. Not on a software device where no backward pass follows: what sampling
 * makes is read at once and forgotten, so f16 spares little memory there and, as measured, no time.
 */
export const storesHalf = (
  graph: Graph,
  precision: Precision | undefined,
  { software }: Pick<DeviceKind, "software">,
): boolean => precision === "f16" && (!software || graph.nodes.some((n) => n.phase === "backward"));

/** The graph, with images stored as the precision says. */
export const withPrecision = (
  graph: Graph,
  registry: Registry,
  precision: Precision | undefined,
  device: DeviceKind,
): Graph => storesHalf(graph, precision, device) ? storeHalf(graph, registry, device) : graph;

/**
 * The graph with tensors as f16 where both the op that makes them and all that read them allow it.
 * For a software device what convolutions and attention read again and again stays f32: it would be
 * converted each time.
 */
export function storeHalf(
  graph: Graph,
  registry: Registry,
  device: Pick<DeviceKind, "software"> = { software: false },
): Graph {
  const isHalf = chooseHalf(graph, registry, device.software);
  const copy = new GraphCopy(registry);
  for (const node of graph.nodes) {
    const keys = node.outputs.map((_, i) => `${node.id}:${i}`);
    const isNamed = groupsOf(node, registry)
      .some((g) => g.named && g.outputs!.some((i) => isHalf(keys[i])));
    const outputs = copy.copy(node, isNamed ? { attrs: { ...node.attrs, dtype: "f16" } } : {});
    outputs.forEach((t, i) => {
      if ((t.dtype === "f16") !== isHalf(keys[i])) {
        throw new Error(
          `Cannot store ${node.op} "${node.scope}" as planned: output ${i} is ${t.dtype}`,
        );
      }
    });
  }
  return copy.finish(graph);
}

const groupsOf = ({ op, attrs, inputs }: Node, registry: Registry) =>
  registry[op]?.half?.(attrs, inputs) ?? [];

/** Tensors that an op ties together are of one type; a set of them is f16 if every one may be. */
function chooseHalf(
  graph: Graph,
  registry: Registry,
  software: boolean,
): (key: string) => boolean {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    const parent = parents.get(key);
    return parent === undefined ? key : rootOf(parent);
  };
  const refused = new Set<string>();
  for (const node of graph.nodes) {
    const groups = groupsOf(node, registry);
    for (const { inputs = [], outputs = [], rereads } of groups) {
      if (rereads && software) inputs.forEach((i) => refused.add(node.inputs[i].key));
      const keys = [
        ...inputs.map((i) => node.inputs[i].key),
        ...outputs.map((i) => `${node.id}:${i}`),
      ];
      for (const key of keys) {
        if (rootOf(key) !== rootOf(keys[0])) parents.set(rootOf(key), rootOf(keys[0]));
      }
    }
    const read = new Set(groups.flatMap((g) => g.inputs ?? []));
    const made = new Set(groups.flatMap((g) => g.outputs ?? []));
    node.inputs.forEach((t, i) => read.has(i) || refused.add(t.key));
    node.outputs.forEach((_, i) => made.has(i) || refused.add(`${node.id}:${i}`));
  }
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) refused.add(t.key);
  const refusedRoots = new Set([...refused].map(rootOf));
  return (key) => !refusedRoots.has(rootOf(key));
}
