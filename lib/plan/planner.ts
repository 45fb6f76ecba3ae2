/** Graph → Plan: dead nodes dropped, variants chosen, memory shared by liveness. Needs no GPU. */

import type { Graph } from "../graph/graph.ts";
import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import type { DeviceProfile, Registry, Variant } from "../graph/op.ts";
import { bytesOf, type Node, type Tensor } from "../graph/tensor.ts";
import {
  bind,
  checkHazards,
  checkSizes,
  range,
  roundUp,
  shaderId,
  stageTextures,
} from "./binding.ts";
import { shareTextures, textureHomes } from "./texture_residency.ts";
import { callOfTwo, joinedTensors } from "./concat_elision.ts";
import { keepers, type KeptCalls, keptCalls } from "./shared_transforms.ts";
import { onceCalls } from "./constant_hoisting.ts";
import type {
  Plan,
  PlanBinding,
  PlanBuffer,
  PlanDispatch,
  PlanPiece,
  PlanShader,
  PlanSlot,
} from "./plan.ts";
import { isStagedType, Staging } from "./staging.ts";
import { type Place, resolveStorage } from "./aliasing.ts";
import { packParams } from "./wgsl.ts";

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
  return graph.nodes.filter((n) => needed.has(n) || n.op === "input" || n.op === "state");
}

interface LoweredNode {
  readonly variant: Variant;
  readonly calls: readonly KernelCall[];
  /** Roots of its scratch memory, and their bytes. */
  readonly scratch: readonly string[];
  readonly scratchBytes: readonly number[];
}

function lowerAll(
  nodes: readonly Node[],
  registry: Registry,
  { device, exact, choose }: PlanOptions,
): { lowered: Map<Node, LoweredNode>; kept: KeptCalls } {
  const chosen = new Map<Node, Variant>();
  for (const node of nodes) {
    if (node.op === "input" || node.op === "state") continue;
    const { inputs, outputs, attrs } = node;
    let variants = registry[node.op].lower({ inputs, outputs, attrs, device });
    if (variants.length === 0) continue;
    if (exact) variants = variants.filter((v) => v.exact);
    if (variants.length === 0) throw new Error(`Cannot plan ${node.op}: it has no exact variant`);
    chosen.set(node, choose?.(node, variants) ?? variants[0]);
  }
  const keeping = keepers(nodes, chosen);
  const keeps = new Set(keeping.flat());
  const lowered = new Map<Node, LoweredNode>();
  for (const [node, variant] of chosen) {
    const { calls, scratch: scratchBytes = [] } = (keeps.has(node) ? variant.kept! : variant)
      .build();
    const scratch = scratchBytes.map((_, i) => `scratch ${node.id}:${i}`);
    lowered.set(node, { variant, calls, scratch, scratchBytes });
  }
  return { lowered, kept: keptCalls(keeping, lowered) };
}

/**
 * Lays out one run of a graph for a device: every dispatch, every buffer.
 *
 * @example
 * ```ts
 * import { DEFAULT_PROFILE, f32, Graph, OPS, plan, planBytes, silu } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * g.output("y", silu(g.input("x", f32(64))));
 * planBytes(plan(g, OPS, { device: DEFAULT_PROFILE })); // of device memory
 * ```
 */
export function plan(graph: Graph, registry: Registry, options: PlanOptions): Plan {
  graph.verify(registry);
  const nodes = liveNodes(graph);
  const places = resolveStorage(nodes, registry);
  const buffers: PlanBuffer[] = [];
  const slotOf = new Map<string, number>(); // root → buffer

  // Inputs and states have buffers of their own.
  for (const [role, table] of [["input", graph.inputs], ["state", graph.states]] as const) {
    for (const [name, t] of table) {
      slotOf.set(t.key, buffers.length);
      buffers.push({ bytes: roundUp(bytesOf(t), 16), role, name });
    }
  }

  // Lowering comes before memory: scratch takes part in it, and what is joined does not.
  const { lowered, kept } = lowerAll(nodes, registry, options);
  const own = new Set(slotOf.keys());
  const joined = joinedTensors(graph, nodes, registry, lowered, places, own, options.device);
  for (const node of nodes) if (joined.has(`${node.id}:0`)) lowered.delete(node);
  const homes = textureHomes(nodes, registry, lowered, joined);
  // States that no run changes, and what is made of these alone.
  const constant = new Set(
    [...graph.states].filter(([name]) => !graph.updates.has(name)).map(([, t]) => t.key),
  );
  for (const node of nodes) {
    if (registry[node.op]?.inPlace) {
      node.outputs.forEach((_, i) => constant.delete(places.get(`${node.id}:${i}`)!.root));
    }
  }
  const once = onceCalls(lowered, places, constant);

  /** Where a tensor's bytes lie. */
  const sources = (key: string): readonly string[] =>
    joined.get(key)?.pieces.map((p) => p.source) ?? [key];
  interface Life {
    root: string;
    bytes: number;
    first: number;
    last: number;
  }
  const lives = new Map<string, Life>();
  const touch = (root: string, at: number) => {
    const life = lives.get(root);
    if (life) [life.first, life.last] = [Math.min(life.first, at), Math.max(life.last, at)];
  };
  for (const [at, node] of nodes.entries()) {
    if (node.op === "input" || node.op === "state") continue;
    node.outputs.forEach((type, i) => {
      const place = places.get(`${node.id}:${i}`)!;
      if (slotOf.has(place.root) || joined.has(`${node.id}:${i}`)) return;
      const bytes = roundUp(place.offset + bytesOf(type), 16);
      const life = lives.get(place.root);
      if (!life) lives.set(place.root, { root: place.root, bytes, first: at, last: at });
      else life.bytes = Math.max(life.bytes, bytes);
      touch(place.root, at);
    });
    for (const { key } of node.inputs) {
      // Once in its texture, it needs its memory no more.
      if (at > (homes.get(key)?.first ?? at)) continue;
      for (const source of sources(key)) touch(places.get(source)!.root, at);
    }
    const low = lowered.get(node);
    low?.scratch.forEach((root, i) => {
      if (once.same.has(root)) return;
      const first = kept.same.get(root);
      if (first) return touch(first, at);
      lives.set(root, { root, bytes: roundUp(low.scratchBytes[i], 16), first: at, last: at });
    });
  }
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) {
    touch(places.get(t.key)!.root, nodes.length);
  }

  for (const root of once.scratch) {
    touch(root, 0);
    touch(root, nodes.length);
  }

  // Shared objects, largest first: each takes the first buffer that is free for its whole life.
  const occupied: Life[][] = [];
  const arena: number[] = [];
  for (const life of [...lives.values()].sort((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    let slot = occupied.findIndex((others) =>
      others.every((o) => o.last < life.first || life.last < o.first)
    );
    if (slot < 0) {
      slot = occupied.push([]) - 1;
      arena.push(buffers.length);
      buffers.push({ bytes: life.bytes, role: "arena", name: `arena ${slot}` });
    }
    occupied[slot].push(life);
    slotOf.set(life.root, arena[slot]);
  }

  const at = (place: Place, bytes: number): { buffer: number; offset: number; size: number } => ({
    buffer: slotOf.get(place.root)!,
    offset: place.offset,
    size: roundUp(bytes, 16),
  });
  const piecesOf = (key: string): PlanPiece[] | undefined =>
    joined.get(key)?.pieces.map(({ source, offset, size, at: start }) => {
      const { buffer, offset: place } = at(places.get(source)!, 0);
      return { buffer, offset: place + offset, size, at: start };
    });
  const slot = (t: Tensor): PlanSlot => {
    const { buffer, offset } = at(places.get(t.key)!, 0);
    return { buffer, offset, bytes: bytesOf(t), shape: [...t.shape], dtype: t.dtype };
  };

  const shaders: PlanShader[] = [];
  const shaderIds = new Map<string, number>();
  const dispatches: PlanDispatch[] = [];
  const staging = new Staging();
  const shared = shareTextures(homes);
  const reserved = shared.textures.map((t) => staging.reserve(t));
  const filled = new Map<string, number>(); // key → the dispatch before which it was copied
  const params: number[] = [];
  const paramsBuffer = buffers.length;
  const alignment = options.device.limits.minUniformBufferOffsetAlignment;
  const dying = Map.groupBy(lives.values(), ({ last }) => last);
  for (const [index, node] of nodes.entries()) {
    for (const { root, bytes } of dying.get(index - 1) ?? []) {
      staging.forget(at({ root, offset: 0 }, bytes));
    }
    const low = lowered.get(node);
    if (!low) continue;
    const scratchOf = ({ index }: BufferRef) => {
      const root = low.scratch[index];
      return once.same.get(root) ?? kept.same.get(root) ?? root;
    };
    for (const made of low.calls) {
      if (once.spared.has(made) || kept.spared.has(made)) continue;
      const { call, sources } = callOfTwo(made, (i) => joined.get(node.inputs[i].key)?.two);
      const typeOf = ({ kind, index }: BufferRef) =>
        kind === "input" ? node.inputs[index] : node.outputs[index];
      const resolve = (ref: BufferRef, name: string) => {
        const source = sources?.[name];
        if (source) return at(places.get(source.key)!, bytesOf(source));
        if (ref.kind === "scratch") {
          const root = scratchOf(ref);
          return range(at({ root, offset: 0 }, lives.get(root)!.bytes), ref);
        }
        const key = ref.kind === "input" ? node.inputs[ref.index].key : `${node.id}:${ref.index}`;
        const pieces = piecesOf(key);
        if (pieces) {
          const [{ buffer, offset }] = pieces;
          return { buffer, offset, size: roundUp(bytesOf(typeOf(ref)), 16), pieces };
        }
        return range(at(places.get(key)!, bytesOf(typeOf(ref))), ref);
      };
      const bindings = bind(call, resolve, () => {
        while (params.length * 4 % alignment) params.push(0);
        const offset = params.length * 4;
        const words = packParams(call.kernel, call.params ?? {});
        params.push(...words);
        return { buffer: paramsBuffer, offset, size: words.length * 4 };
      });
      checkHazards(call, bindings, node);
      // Scratch memory is f32.
      const dtypeOf = ({ name }: PlanBinding) => {
        const ref = call.bindings[name];
        const dtype = !ref || ref.kind === "scratch" || ref.bits ? "f32" : typeOf(ref).dtype;
        if (isStagedType(dtype)) return dtype;
        throw new Error(`Cannot plan ${node.op}: "${name}" of ${dtype} cannot be a texture`);
      };
      checkSizes(call, bindings, node, options.device, dtypeOf);
      const isOnce = once.calls.has(made);
      const isKept = ({ name }: PlanBinding) => {
        const ref = call.bindings[name];
        return ref?.kind === "scratch" && once.scratch.has(scratchOf(ref));
      };
      const homeOf = ({ name }: PlanBinding) => {
        const ref = call.bindings[name];
        if (ref?.kind !== "input") return;
        const { key } = node.inputs[ref.index];
        const texture = shared.of.get(key);
        if (texture === undefined) return;
        const fill = !filled.has(key);
        if (fill) filled.set(key, dispatches.length);
        return { texture: reserved[texture], fill };
      };
      const staged = stageTextures(call, bindings, staging, {
        homeOf,
        dtypeOf,
        useOf: (b) => isOnce ? "once" : isKept(b) ? "kept" : "each run",
      });
      const halves = bindings.filter((_, i) => staged.bindings[i].texture !== undefined)
        .filter((b) => dtypeOf(b) === "f16").map((b) => b.name);
      const shader = shaderId(call, halves, shaders, shaderIds);
      dispatches.push({
        shader,
        ...staged,
        workgroups: call.workgroups,
        node: node.id,
        op: node.op,
        scope: node.scope,
        phase: node.phase,
        variant: low.variant.name,
        note: call.note ?? "",
        ...(isOnce ? { once: true } : {}),
      });
    }
  }
  buffers.push({ bytes: Math.max(16, params.length * 4), role: "params", name: "params" });

  const copies: { from: PlanSlot; to: PlanSlot }[] = [];
  for (const [name, t] of graph.updates) {
    const [from, to] = [slot(t), slot(graph.states.get(name)!)];
    if (from.buffer !== to.buffer) copies.push({ from, to });
  }
  const named = (table: Map<string, Tensor>) =>
    Object.fromEntries([...table].map(([name, t]) => [name, slot(t)]));
  const tensors: Record<string, PlanSlot> = {};
  for (const node of nodes) {
    node.outputs.forEach((type, i) => {
      const key = `${node.id}:${i}`;
      const pieces = piecesOf(key);
      const { buffer, offset } = pieces?.[0] ?? at(places.get(key)!, 0);
      const known = { bytes: bytesOf(type), shape: type.shape, dtype: type.dtype };
      // What is handed out stays in its memory, longer than in its texture.
      const isKept = lives.get(places.get(key)!.root)?.last === nodes.length;
      const dispatch = filled.get(key);
      const home = dispatch === undefined || isKept
        ? {}
        : { home: { texture: reserved[shared.of.get(key)!], dispatch } };
      tensors[key] = { buffer, offset, ...known, ...(pieces ? { pieces } : {}), ...home };
    });
  }
  return {
    buffers,
    textures: staging.textures,
    shaders,
    dispatches,
    params,
    inputs: named(graph.inputs),
    states: named(graph.states),
    outputs: named(graph.outputs),
    copies,
    tensors,
  };
}
