/** Graph → Schedule: dead nodes dropped, aliases resolved, a variant chosen for each node. */

import type { Graph } from "../graph/graph.ts";
import type { DeviceProfile, Registry, Variant } from "../graph/op.ts";
import { type Node, sourceName } from "../graph/tensor.ts";
import { resolveAliases } from "./aliasing.ts";
import { allocation, type Schedule, type ScheduledNode } from "./schedule.ts";
import { transformGroups } from "./value_numbering.ts";

/** What a plan is made for. */
export interface PlanOptions {
  /** `gpu.profile`, or `DEFAULT_PROFILE` without a GPU. */
  readonly device: DeviceProfile;
  /** Leave out variants that round differently from the plain sum. */
  readonly exact?: boolean;
  /** Picks among the variants of a node (the tuner's choice); the first by default. */
  readonly choose?: (node: Node, variants: readonly Variant[]) => Variant;
}

/** Nodes that an output or update needs, in order. */
export function liveNodes(graph: Graph): Node[] {
  const needed = new Set<Node>();
  const visit = [...graph.outputs.values(), ...graph.updates.values()].map((t) => t.node);
  while (visit.length) {
    const node = visit.pop()!;
    if (needed.has(node)) continue;
    needed.add(node);
    for (const t of node.inputs) visit.push(t.node);
  }
  return graph.nodes.filter((n) => needed.has(n) || sourceName(n) !== undefined);
}

function chooseVariants(
  nodes: readonly Node[],
  registry: Registry,
  { device, exact, choose }: PlanOptions,
): Map<Node, Variant> {
  const chosen = new Map<Node, Variant>();
  for (const node of nodes) {
    if (sourceName(node) !== undefined) continue;
    const { inputs, outputs, attrs } = node;
    let variants = registry[node.op].lower({ inputs, outputs, attrs, device });
    if (variants.length === 0) continue;
    if (exact) variants = variants.filter((v) => v.exact);
    if (variants.length === 0) throw new Error(`Cannot plan ${node.op}: it has no exact variant`);
    chosen.set(node, choose?.(node, variants) ?? variants[0]);
  }
  return chosen;
}

export function lower(graph: Graph, registry: Registry, options: PlanOptions): Schedule {
  const nodes = liveNodes(graph);
  const chosen = chooseVariants(nodes, registry, options);
  const groups = transformGroups(nodes, chosen), keeps = new Set(groups.flat());
  const scheduled = new Map<Node, ScheduledNode>();
  for (const [node, variant] of chosen) {
    const { calls, scratch = [] } = (keeps.has(node) ? variant.kept! : variant).build();
    scheduled.set(node, {
      node,
      variant: variant.name,
      calls: calls.map((call) => ({ call, runs: "each run" })),
      scratch: scratch.map((bytes, i) => allocation(`scratch ${node.id}:${i}`, bytes)),
    });
  }
  return {
    ...{ graph, registry, device: options.device, nodes, scheduled },
    places: resolveAliases(nodes, registry),
    transformGroups: groups,
    elided: new Map(),
    resident: new Map(),
  };
}
