/**
 * What a node makes of a tensor before its own work, and a later node would make again: Winograd's
 * transform of an image, which the convolution and the gradient by its weight both start from. Where
 * both can keep it, it is made once, and stays from the first to the last of them.
 */

import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import type { Variant } from "../graph/op.ts";
import type { Node } from "../graph/tensor.ts";
import type { Lowered } from "./constant_hoisting.ts";
import { shaderInterface } from "./wgsl.ts";

/** Bytes that are kept at most, over the whole plan: the smallest first, as all save about as much a byte. */
export const KEPT_BYTES = 2 ** 28;

/** Nodes, in order, that start from the same transform and whose variants can keep it. */
export function keepers(
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

export interface KeptCalls {
  /** Root of a later node's scratch memory → that of the first node, which holds the same. */
  readonly same: ReadonlyMap<string, string>;
  /** Calls that need not be made again. */
  readonly spared: ReadonlySet<KernelCall>;
}

/** Of nodes lowered so that they keep: the later ones' calls that the first has made. */
export function keptCalls(
  groups: readonly (readonly Node[])[],
  lowered: ReadonlyMap<Node, Lowered>,
): KeptCalls {
  const same = new Map<string, string>();
  const spared = new Set<KernelCall>();
  for (const [first, ...others] of groups) {
    const made = transformsOf(first, lowered.get(first)!);
    for (const node of others) {
      for (const [recipe, { call, root }] of transformsOf(node, lowered.get(node)!)) {
        const earlier = made.get(recipe);
        if (!earlier) continue;
        spared.add(call);
        same.set(root, earlier.root);
      }
    }
  }
  return { same, spared };
}

/** Recipe → the call and the scratch memory it writes to, of calls that read nothing but inputs. */
function transformsOf(
  node: Node,
  low: Lowered,
): Map<string, { readonly call: KernelCall; readonly root: string }> {
  // Memory that other calls write to as well holds something else later.
  const mixed = new Set(
    low.calls.filter((call) => !isTransform(call)).flatMap(writesOf)
      .filter((ref) => ref.kind === "scratch").map((ref) => ref.index),
  );
  const made = new Map<string, { call: KernelCall; root: string }>();
  for (const call of low.calls.filter(isTransform)) {
    const [to] = writesOf(call);
    if (mixed.has(to.index)) continue;
    const { kernel: { file, text }, note: _, bindings, ...rest } = call;
    const bound = Object.entries(bindings).map(([name, ref]) => [
      name,
      ref.kind === "input" ? node.inputs[ref.index].key : ref.kind,
      ref.offset,
      ref.size,
    ]);
    const recipe = JSON.stringify([file, text, rest, bound, low.scratchBytes[to.index]]);
    made.set(recipe, { call, root: low.scratch[to.index] });
  }
  return made;
}

/** Whether it reads inputs alone, and writes to scratch memory. */
function isTransform(call: KernelCall): boolean {
  const others = Object.values(call.bindings).filter((ref) => ref.kind !== "input");
  return others.length === 1 && others[0].kind === "scratch" && writesOf(call).includes(others[0]);
}

const writesOf = ({ kernel, bindings }: KernelCall): BufferRef[] =>
  shaderInterface(kernel).bindings.filter((b) => b.access === "read_write")
    .map((b) => bindings[b.name]);
