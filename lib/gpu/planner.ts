/** Graph → Plan: dead nodes dropped, variants chosen, memory shared by liveness. Needs no GPU. */

import type { Graph } from "../graph/graph.ts";
import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import type { DeviceProfile, Registry, Variant } from "../graph/op.ts";
import { bytesOf, type Node, type Tensor } from "../graph/tensor.ts";
import type {
  Plan,
  PlanBinding,
  PlanBuffer,
  PlanDispatch,
  PlanShader,
  PlanSlot,
  PlanStage,
} from "./plan.ts";
import {
  isStagedType,
  type StagedType,
  Staging,
  STAGING_ROWS,
  stagingRowBytes,
} from "./staging.ts";
import { onceCalls } from "./once.ts";
import { packParams, shaderInterface, specialize, withHalves } from "./wgsl.ts";
import { type Place, resolveStorage } from "./storage.ts";

export interface PlanOptions {
  readonly device: DeviceProfile;
  /** Leave out variants that round differently from the plain sum. */
  readonly exact?: boolean;
  /** Picks among the variants of a node (the tuner's choice); the first by default. */
  readonly choose?: (node: Node, variants: readonly Variant[]) => Variant;
}

const roundUp = (n: number, to: number) => Math.ceil(n / to) * to;

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

/** Lays out one run of the graph for a device. */
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

  // Lowering comes before memory: scratch takes part in it.
  const lowered = new Map<
    Node,
    { variant: Variant; calls: readonly KernelCall[]; scratch: string[] }
  >();
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
      if (slotOf.has(place.root)) return;
      const bytes = roundUp(place.offset + bytesOf(type), 16);
      const life = lives.get(place.root);
      if (!life) lives.set(place.root, { root: place.root, bytes, first: at, last: at });
      else life.bytes = Math.max(life.bytes, bytes);
      touch(place.root, at);
    });
    for (const t of node.inputs) touch(places.get(t.key)!.root, at);

    let variants = registry[node.op].lower({
      inputs: node.inputs,
      outputs: node.outputs,
      attrs: node.attrs,
      device: options.device,
    });
    if (variants.length === 0) continue;
    if (options.exact) variants = variants.filter((v) => v.exact);
    if (variants.length === 0) throw new Error(`Cannot plan ${node.op}: it has no exact variant`);
    const variant = options.choose?.(node, variants) ?? variants[0];
    const { calls, scratch = [] } = variant.build();
    const names = scratch.map((bytes, i) => {
      const root = `scratch ${node.id}:${i}`;
      lives.set(root, { root, bytes: roundUp(bytes, 16), first: at, last: at });
      return root;
    });
    lowered.set(node, { variant, calls, scratch: names });
  }
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) {
    touch(places.get(t.key)!.root, nodes.length);
  }

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
  const slot = (t: Tensor): PlanSlot => {
    const { buffer, offset } = at(places.get(t.key)!, 0);
    return { buffer, offset, bytes: bytesOf(t), shape: [...t.shape], dtype: t.dtype };
  };

  const shaders: PlanShader[] = [];
  const shaderIds = new Map<string, number>();
  const dispatches: PlanDispatch[] = [];
  const staging = new Staging();
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
    for (const call of low.calls) {
      const typeOf = ({ kind, index }: BufferRef) =>
        kind === "input" ? node.inputs[index] : node.outputs[index];
      const resolve = (ref: BufferRef) => {
        if (ref.kind === "scratch") {
          const root = low.scratch[ref.index];
          return range(at({ root, offset: 0 }, lives.get(root)!.bytes), ref);
        }
        const key = ref.kind === "input" ? node.inputs[ref.index].key : `${node.id}:${ref.index}`;
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
      const isOnce = once.calls.has(call);
      const isKept = ({ name }: PlanBinding) => {
        const ref = call.bindings[name];
        return ref?.kind === "scratch" && once.scratch.has(low.scratch[ref.index]);
      };
      const staged = stageTextures(call, bindings, staging, dtypeOf, isOnce, isKept);
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
      const { buffer, offset } = at(places.get(key)!, 0);
      tensors[key] = { buffer, offset, bytes: bytesOf(type), shape: type.shape, dtype: type.dtype };
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

type Range = { buffer: number; offset: number; size: number };

function range(whole: Range, ref: BufferRef): Range {
  if (ref.offset === undefined) return whole;
  return { buffer: whole.buffer, offset: whole.offset + ref.offset, size: roundUp(ref.size!, 16) };
}

function shaderId(
  call: KernelCall,
  halves: readonly string[],
  shaders: PlanShader[],
  ids: Map<string, number>,
): number {
  const text = withHalves(specialize(call.kernel, call.specialize), halves);
  const { bindings, overrides } = shaderInterface(call.kernel);
  for (const name of Object.keys(call.constants ?? {})) {
    if (!overrides.includes(name)) throw new Error(`${call.kernel.file}: no override ${name}`);
  }
  const constants = Object.fromEntries(
    Object.entries(call.constants ?? {}).sort(([a], [b]) => a < b ? -1 : 1),
  );
  const key = JSON.stringify([call.kernel.file, text, constants]);
  let id = ids.get(key);
  if (id === undefined) {
    id = shaders.push({
      file: call.kernel.file,
      text,
      constants,
      layout: bindings.map(({ binding, name, access }) => ({
        binding,
        access: halves.includes(name) ? "f16 texture" : access,
      })),
    }) - 1;
    ids.set(key, id);
  }
  return id;
}

function bind(
  call: KernelCall,
  resolve: (ref: BufferRef) => Range,
  placeParams: () => Range,
): PlanBinding[] {
  const unused = new Set(Object.keys(call.bindings));
  const result = shaderInterface(call.kernel).bindings.map(({ binding, name }): PlanBinding => {
    if (name === "params") return { binding, name, ...placeParams() };
    const ref = call.bindings[name];
    if (!ref) throw new Error(`${call.kernel.file}: nothing is bound to "${name}"`);
    unused.delete(name);
    return { binding, name, ...resolve(ref) };
  });
  if (unused.size) throw new Error(`${call.kernel.file}: no variable ${[...unused].join(", ")}`);
  return result;
}

/** Gives each range that the kernel reads as a texture a place to be copied to. */
function stageTextures(
  call: KernelCall,
  bindings: readonly PlanBinding[],
  staging: Staging,
  dtypeOf: (binding: PlanBinding) => StagedType,
  isOnce: boolean,
  isKept: (binding: PlanBinding) => boolean,
): { bindings: readonly PlanBinding[]; stage: readonly PlanStage[] } {
  const { bindings: declared } = shaderInterface(call.kernel);
  const access = new Map(declared.map((b) => [b.binding, b.access]));
  const read = bindings.filter((b) => access.get(b.binding) === "texture");
  const { textures, stage } = staging.place(
    read.map((b) => ({
      buffer: b.buffer,
      offset: b.offset,
      size: b.size,
      dtype: dtypeOf(b),
      use: isOnce ? "once" : isKept(b) ? "kept" : "each run",
    })),
  );
  for (const b of bindings) if (access.get(b.binding) === "read_write") staging.forget(b);
  return {
    stage,
    bindings: bindings.map((b) => {
      const i = read.indexOf(b);
      return i < 0 ? b : { ...b, texture: textures[i] };
    }),
  };
}

/** WebGPU forbids writing a buffer that the same dispatch binds otherwise. */
function checkHazards(call: KernelCall, bindings: readonly PlanBinding[], node: Node): void {
  const { bindings: declared } = shaderInterface(call.kernel);
  const access = new Map(declared.map((b) => [b.binding, b.access]));
  for (const a of bindings) {
    if (access.get(a.binding) !== "read_write") continue;
    const clash = bindings.find((b) =>
      b !== a && b.buffer === a.buffer && access.get(b.binding) !== "texture" &&
      (access.get(b.binding) !== "read_write" ||
        (b.offset < a.offset + a.size && a.offset < b.offset + b.size))
    );
    if (clash) {
      throw new Error(
        `Cannot plan ${node.op} "${node.scope}": ${call.kernel.file} writes ` +
          `"${a.name}" in the buffer that it also binds as "${clash.name}"`,
      );
    }
  }
}

function checkSizes(
  call: KernelCall,
  bindings: readonly PlanBinding[],
  node: Node,
  { limits }: DeviceProfile,
  dtypeOf: (binding: PlanBinding) => StagedType,
): void {
  const where = `Cannot plan ${node.op} "${node.scope}"`;
  const declared = new Map(shaderInterface(call.kernel).bindings.map((b) => [b.binding, b.access]));
  for (const b of bindings) {
    if (declared.get(b.binding) === "texture") {
      if (b.size > STAGING_ROWS * stagingRowBytes(dtypeOf(b))) {
        throw new Error(`${where}: "${b.name}" of ${mebibytes(b.size)} is too large for a texture`);
      }
      continue;
    }
    const most = declared.get(b.binding) === "uniform"
      ? limits.maxUniformBufferBindingSize
      : limits.maxStorageBufferBindingSize;
    if (b.size > most) {
      throw new Error(
        `${where}: "${b.name}" needs a binding of ${mebibytes(b.size)}, this device ` +
          `allows ${mebibytes(most)}: take a smaller batch or image`,
      );
    }
  }
  if (call.workgroups.some((n) => n > limits.maxComputeWorkgroupsPerDimension || n < 1)) {
    throw new Error(`${where}: ${call.kernel.file} asks for [${call.workgroups}] workgroups`);
  }
}

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
