/** Which tensors hold memory at each dispatch, and where that peaks. */

import { type Plan, planBytes } from "../plan/plan.ts";
import { resolveAliases } from "../plan/aliasing.ts";
import type { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import { sourceName, type Tensor } from "../graph/tensor.ts";

/** A tensor, or several that share memory, between its first and its last use. */
export interface LiveTensor {
  /** `node:index` of the tensor that names the memory. */
  readonly key: string;
  readonly op: string;
  readonly scope: string;
  readonly bytes: number;
  /** First and last dispatch that uses it; the last dispatch of all for what a run hands out. */
  readonly first: number;
  readonly last: number;
}

export interface MemoryReport {
  /** Intermediate results; inputs and states live always and are counted apart. */
  readonly tensors: readonly LiveTensor[];
  /** Bytes of intermediate results alive at each dispatch, in buffers or textures. */
  readonly live: readonly number[];
  readonly peak: { readonly dispatch: number; readonly bytes: number };
  /** What the plan reserves. */
  readonly planned: Readonly<Record<string, number>>;
}

/** Lifetimes, counted anew from the graph and not taken from the planner's. */
export function memoryReport(graph: Graph, plan: Plan, registry: Registry): MemoryReport {
  const nodes = graph.nodes.filter((n) => `${n.id}:0` in plan.tensors);
  const places = resolveAliases(nodes, registry);
  const range = new Map<number, [number, number]>(); // node → its dispatches
  plan.dispatches.forEach((d, i) => {
    const known = range.get(d.node);
    range.set(d.node, [known?.[0] ?? i, i]);
  });
  const lives = new Map<string, { bytes: number; first: number; last: number }>();
  const touch = (key: string, at: readonly [number, number], bytes: number) => {
    const { allocation: { name: root }, offset } = places.get(key)!;
    const life = lives.get(root) ?? { bytes: 0, first: at[0], last: at[1] };
    lives.set(root, {
      bytes: Math.max(life.bytes, offset + bytes),
      first: Math.min(life.first, at[0]),
      last: Math.max(life.last, at[1]),
    });
  };
  // A joined tensor has no memory before it is copied to its texture: what it is joined from must last.
  const sources = (t: Tensor, at: number): readonly Tensor[] => {
    const { pieces, home } = plan.tensors[t.key];
    if (!pieces) return [t];
    return [...(home ? [t] : []), ...(home && at > home.dispatch ? [] : t.node.inputs)];
  };
  for (const node of nodes) {
    const at = range.get(node.id);
    if (!at) continue;
    node.outputs.forEach((_, i) => {
      const key = `${node.id}:${i}`;
      touch(key, at, plan.tensors[key].bytes);
    });
    for (const t of node.inputs.flatMap((t) => sources(t, at[0]))) {
      touch(t.key, at, plan.tensors[t.key].bytes);
    }
  }
  const end = plan.dispatches.length - 1;
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) {
    touch(t.key, [end, end], plan.tensors[t.key].bytes);
  }
  const byId = new Map(nodes.map((n) => [n.id, n]));
  const tensors: LiveTensor[] = [];
  for (const [key, life] of lives) {
    const node = byId.get(Number(key.split(":")[0]))!;
    if (sourceName(node) !== undefined) continue;
    tensors.push({ key, op: node.op, scope: node.scope, ...life });
  }
  const live = plan.dispatches.map((_, i) =>
    tensors.reduce((sum, t) => sum + (t.first <= i && i <= t.last ? t.bytes : 0), 0)
  );
  const dispatch = live.reduce((best, bytes, i) => bytes > live[best] ? i : best, 0);
  const planned: Record<string, number> = {};
  for (const b of plan.buffers) planned[b.role] = (planned[b.role] ?? 0) + b.bytes;
  planned.textures = planBytes(plan) - plan.buffers.reduce((sum, b) => sum + b.bytes, 0);
  return { tensors, live, peak: { dispatch, bytes: live[dispatch] }, planned };
}
