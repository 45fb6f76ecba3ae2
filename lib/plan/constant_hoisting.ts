/**
 * Calls whose result stays: they read states that no run of the plan changes (weights, where nothing
 * is trained) and write scratch memory, as the packing of weights does. They run once, and again
 * when somebody has written to these states.
 */

import type { KernelCall } from "../graph/kernel_call.ts";
import type { Node } from "../graph/tensor.ts";
import type { Place } from "./aliasing.ts";
import { shaderInterface } from "./wgsl.ts";

/** A node's calls; `scratch` are the roots of its scratch memory. */
export interface Lowered {
  readonly calls: readonly KernelCall[];
  readonly scratch: readonly string[];
  readonly scratchBytes: readonly number[];
}

export interface OnceCalls {
  readonly calls: ReadonlySet<KernelCall>;
  /** Roots of the scratch memory that these write, and no other call. */
  readonly scratch: ReadonlySet<string>;
  /** Root → root of an earlier node's scratch memory that holds the same. Not in `scratch`. */
  readonly same: ReadonlyMap<string, string>;
  /** Calls that would write to the former; nobody makes them. Not in `calls`. */
  readonly spared: ReadonlySet<KernelCall>;
}

/** @param constant roots of the states that the plan leaves as they are. */
export function onceCalls(
  lowered: ReadonlyMap<Node, Lowered>,
  places: ReadonlyMap<string, Place>,
  constant: ReadonlySet<string>,
): OnceCalls {
  const calls = new Set<KernelCall>();
  const kept = new Set<string>();
  const same = new Map<string, string>();
  const spared = new Set<KernelCall>();
  const made = new Map<string, Lowered>();
  for (const [node, low] of lowered) {
    const scratch = new Set<string>();
    // Written in each run, by a call before: what else is written there must be written again too.
    const spoiled = new Set<string>();
    const isConstant = (root: string) => constant.has(root) || scratch.has(root);
    for (const call of low.calls) {
      const { reads, writes } = rootsOf(call, node, low, places);
      const isKept = (root: string) => low.scratch.includes(root) && !spoiled.has(root);
      if (reads.every(isConstant) && writes.every(isKept)) {
        calls.add(call);
        for (const root of writes) scratch.add(root);
        continue;
      }
      for (const root of writes) spoiled.add(root);
      if (writes.some((root) => scratch.has(root))) {
        for (const c of low.calls) calls.delete(c);
        scratch.clear();
        break;
      }
    }
    if (scratch.size === 0) continue;
    const recipe = recipeOf(node, low, calls, places);
    const earlier = made.get(recipe);
    if (!earlier) {
      made.set(recipe, low);
      for (const root of scratch) kept.add(root);
      continue;
    }
    for (const root of scratch) same.set(root, earlier.scratch[low.scratch.indexOf(root)]);
    for (const call of low.calls) if (calls.delete(call)) spared.add(call);
  }
  return { calls, scratch: kept, same, spared };
}

/** Equal where a node's calls that run once leave the same in its scratch memory. */
function recipeOf(
  node: Node,
  { calls, scratchBytes }: Lowered,
  once: ReadonlySet<KernelCall>,
  places: ReadonlyMap<string, Place>,
): string {
  const made = calls.filter((call) => once.has(call));
  return JSON.stringify([
    scratchBytes,
    made.map((call) => {
      const { kernel: { file, text }, note: _, bindings, ...rest } = call;
      const bound = Object.entries(bindings).map(([name, ref]) => {
        const place = ref.kind === "input" ? places.get(node.inputs[ref.index].key) : undefined;
        return [name, ref, place];
      });
      return [file, text, rest, bound];
    }),
  ]);
}

function rootsOf(
  call: KernelCall,
  node: Node,
  low: Lowered,
  places: ReadonlyMap<string, Place>,
): { reads: string[]; writes: string[] } {
  const reads: string[] = [], writes: string[] = [];
  for (const { name, access } of shaderInterface(call.kernel).bindings) {
    const ref = call.bindings[name];
    if (!ref) continue; // `params`
    const root = ref.kind === "scratch"
      ? low.scratch[ref.index]
      : places.get(ref.kind === "input" ? node.inputs[ref.index].key : `${node.id}:${ref.index}`)!
        .root;
    (access === "read_write" ? writes : reads).push(root);
  }
  return { reads, writes };
}
