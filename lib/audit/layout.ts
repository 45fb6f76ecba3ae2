/** Places of a step's nodes in a picture: forward on the left going down, backward beside it. */

import type { Graph } from "../graph/graph.ts";
import type { Node, Tensor } from "../graph/tensor.ts";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface NodePlace extends Box {
  readonly node: Node;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Where the backward half begins. */
  readonly backward: number;
  readonly nodes: readonly NodePlace[];
  /** One a module: `down_blocks.0.resnets.0`. */
  readonly bands: readonly (Box & { readonly name: string })[];
  readonly edges: readonly { readonly from: NodePlace; readonly to: NodePlace }[];
}

const [CELL_WIDTH, CELL_HEIGHT, GAP, COLUMNS] = [150, 34, 12, 6];
const LABEL = 18;
/** Between the forward and the backward half: room for the edges that cross over. */
const MIDDLE = 160;

/** The block that a node belongs to: the resnet, attention or sampler, else the first name. */
export function moduleOf(scope: string): string {
  const parts = scope.split(".");
  if (/^(down|up)_blocks/.test(scope)) return parts.slice(0, 4).join(".");
  if (parts[0] === "mid_block") return parts.slice(0, 3).join(".");
  return parts[0] || "step";
}

/** @param computed the nodes that dispatches run for; views and the like are seen through. */
export function layOut(graph: Graph, computed: ReadonlySet<number>): Layout {
  const shown = graph.nodes.filter((n) => computed.has(n.id));
  const modules = new Map<string, { forward: Node[]; other: Node[] }>();
  for (const node of shown) {
    const name = moduleOf(node.scope);
    const entry = modules.get(name) ?? { forward: [], other: [] };
    modules.set(name, entry);
    (node.phase === "forward" ? entry.forward : entry.other).push(node);
  }
  const half = COLUMNS * (CELL_WIDTH + GAP);
  const backward = 20 + half + MIDDLE;
  const places = new Map<number, NodePlace>();
  const bands: (Box & { name: string })[] = [];
  let y = 20;
  for (const [name, { forward, other }] of modules) {
    const rows = Math.max(1, ...[forward, other].map((l) => Math.ceil(l.length / COLUMNS)));
    const height = LABEL + rows * (CELL_HEIGHT + GAP) + GAP;
    for (const [list, left] of [[forward, 20], [other, backward]] as const) {
      list.forEach((node, i) => {
        places.set(node.id, {
          node,
          x: left + GAP + (i % COLUMNS) * (CELL_WIDTH + GAP),
          y: y + LABEL + GAP + Math.floor(i / COLUMNS) * (CELL_HEIGHT + GAP),
          width: CELL_WIDTH,
          height: CELL_HEIGHT,
        });
      });
    }
    bands.push({ name, x: 20, y, width: 2 * half + MIDDLE + 2 * GAP, height });
    y += height + GAP;
  }
  const sources = (t: Tensor): Tensor[] =>
    ["view", "pack"].includes(t.node.op) ? t.node.inputs.flatMap(sources) : [t];
  const edges: { from: NodePlace; to: NodePlace }[] = [];
  for (const to of places.values()) {
    for (const id of new Set(to.node.inputs.flatMap(sources).map((t) => t.node.id))) {
      const from = places.get(id);
      // The optimizer reads every gradient: one edge each would hide all others.
      if (from && to.node.phase !== "update") edges.push({ from, to });
    }
  }
  return {
    width: 2 * half + MIDDLE + 60,
    height: y + 20,
    backward,
    nodes: [...places.values()],
    bands,
    edges,
  };
}
