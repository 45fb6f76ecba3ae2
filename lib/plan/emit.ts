/** Schedule → Plan: every call as a dispatch, its references as ranges of buffers or textures. */

import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import { bytesOf, type Tensor } from "../graph/tensor.ts";
import {
  bind,
  checkHazards,
  checkSizes,
  range,
  roundUp,
  shaderId,
  stageTextures,
} from "./binding.ts";
import { callOfTwo } from "./concat_elision.ts";
import type { Memory } from "./memory.ts";
import type { Plan, PlanBinding, PlanDispatch, PlanPiece, PlanShader, PlanSlot } from "./plan.ts";
import type { Allocation, Place, Schedule, ScheduledCall, ScheduledNode } from "./schedule.ts";
import { Staging } from "./staging.ts";
import { isStagedType } from "./staging_layout.ts";
import { shareTextures } from "./texture_residency.ts";
import { packParams } from "./wgsl.ts";

const rangeAt = ({ allocation, offset }: Place, bytes: number) => ({
  buffer: allocation.buffer!,
  offset,
  size: roundUp(bytes, 16),
});

export function emit(schedule: Schedule, memory: Memory): Plan {
  return new Emitter(schedule, memory).plan();
}

class Emitter {
  readonly #shaders: PlanShader[] = [];
  readonly #shaderIds = new Map<string, number>();
  readonly #dispatches: PlanDispatch[] = [];
  readonly #params: number[] = [];
  readonly #staging = new Staging();
  /** Textures of resident tensors, by the number that `shareTextures` gives them. */
  readonly #reserved: readonly number[];
  readonly #textureOf: ReadonlyMap<string, number>;
  /** Key → the dispatch before which it was copied to its texture. */
  readonly #filled = new Map<string, number>();
  /** Written by calls that run once, and read in each run. */
  readonly #constant: ReadonlySet<Allocation>;

  readonly schedule: Schedule;
  readonly memory: Memory;

  constructor(schedule: Schedule, memory: Memory) {
    this.schedule = schedule;
    this.memory = memory;
    const { textures, of } = shareTextures(schedule.resident);
    this.#reserved = textures.map((t) => this.#staging.reserve(t));
    this.#textureOf = of;
    this.#constant = new Set(
      [...schedule.scheduled.values()].flatMap(({ calls, scratch }) =>
        calls.filter(({ runs }) => runs === "once").flatMap(({ call }) =>
          Object.values(call.bindings).filter((ref) => ref.kind === "scratch")
            .map((ref) => scratch[ref.index])
        )
      ),
    );
  }

  plan(): Plan {
    const { graph, nodes, scheduled } = this.schedule;
    const dying = Map.groupBy(this.memory.shared, ({ last }) => last);
    for (const [index, node] of nodes.entries()) {
      for (const allocation of dying.get(index - 1) ?? []) {
        this.#staging.forget(rangeAt({ allocation, offset: 0 }, allocation.bytes));
      }
      const of = scheduled.get(node);
      for (const one of of?.calls ?? []) if (one.runs !== "never") this.#dispatch(of!, one);
    }
    const params = this.#params;
    const bytes = Math.max(16, params.length * 4);
    const named = (table: Map<string, Tensor>) =>
      Object.fromEntries([...table].map(([name, t]) => [name, this.#slot(t)]));
    return {
      buffers: [...this.memory.buffers, { bytes, role: "params", name: "params" }],
      textures: this.#staging.textures,
      shaders: this.#shaders,
      dispatches: this.#dispatches,
      params,
      inputs: named(graph.inputs),
      states: named(graph.states),
      outputs: named(graph.outputs),
      copies: [...graph.updates].map(([name, t]) => ({
        from: this.#slot(t),
        to: this.#slot(graph.states.get(name)!),
      })).filter(({ from, to }) => from.buffer !== to.buffer),
      tensors: this.#tensors(),
    };
  }

  #dispatch(of: ScheduledNode, { call: whole, runs }: ScheduledCall): void {
    const { node } = of, { places, elided, device } = this.schedule;
    const { call, sources } = callOfTwo(whole, (i) => elided.get(node.inputs[i].key)?.two);
    const typeOf = ({ kind, index }: BufferRef) =>
      kind === "input" ? node.inputs[index] : node.outputs[index];
    const resolve = (ref: BufferRef, name: string) => {
      const source = sources?.[name];
      if (source) return rangeAt(places.get(source.key)!, bytesOf(source));
      if (ref.kind === "scratch") {
        const allocation = of.scratch[ref.index];
        return range(rangeAt({ allocation, offset: 0 }, allocation.bytes), ref);
      }
      const key = ref.kind === "input" ? node.inputs[ref.index].key : `${node.id}:${ref.index}`;
      const bytes = bytesOf(typeOf(ref)), pieces = this.#pieces(key);
      if (!pieces) return range(rangeAt(places.get(key)!, bytes), ref);
      const [{ buffer, offset }] = pieces;
      return { buffer, offset, size: roundUp(bytes, 16), pieces };
    };
    const bindings = bind(call, resolve, () => this.#placeParams(call));
    checkHazards(call, bindings, node);
    // Scratch memory is f32.
    const dtypeOf = ({ name }: PlanBinding) => {
      const ref = call.bindings[name];
      const dtype = !ref || ref.kind === "scratch" || ref.bits ? "f32" : typeOf(ref).dtype;
      if (isStagedType(dtype)) return dtype;
      throw new Error(`Cannot plan ${node.op}: "${name}" of ${dtype} cannot be a texture`);
    };
    checkSizes(call, bindings, node, device, dtypeOf);
    const staged = stageTextures(call, bindings, this.#staging, {
      dtypeOf,
      homeOf: ({ name }) => {
        const ref = call.bindings[name];
        return ref?.kind === "input" ? this.#home(node.inputs[ref.index].key) : undefined;
      },
      useOf: ({ name }) => {
        if (runs === "once") return "once";
        const ref = call.bindings[name];
        const isConstant = ref?.kind === "scratch" && this.#constant.has(of.scratch[ref.index]);
        return isConstant ? "kept" : "each run";
      },
    });
    const halves = bindings.filter((_, i) => staged.bindings[i].texture !== undefined)
      .filter((b) => dtypeOf(b) === "f16").map((b) => b.name);
    this.#dispatches.push({
      shader: shaderId(call, halves, this.#shaders, this.#shaderIds),
      ...staged,
      workgroups: call.workgroups,
      node: node.id,
      op: node.op,
      scope: node.scope,
      phase: node.phase,
      variant: of.variant,
      note: call.note ?? "",
      ...(runs === "once" ? { once: true } : {}),
    });
  }

  #placeParams(call: KernelCall): { buffer: number; offset: number; size: number } {
    const params = this.#params;
    const { minUniformBufferOffsetAlignment } = this.schedule.device.limits;
    while (params.length * 4 % minUniformBufferOffsetAlignment) params.push(0);
    const offset = params.length * 4, words = packParams(call.kernel, call.params ?? {});
    params.push(...words);
    return { buffer: this.memory.buffers.length, offset, size: words.length * 4 };
  }

  /** The texture of a tensor that stays in one; its first reader fills it. */
  #home(key: string): { texture: number; fill: boolean } | undefined {
    const texture = this.#textureOf.get(key);
    if (texture === undefined) return;
    const fill = !this.#filled.has(key);
    if (fill) this.#filled.set(key, this.#dispatches.length);
    return { texture: this.#reserved[texture], fill };
  }

  #pieces(key: string): PlanPiece[] | undefined {
    return this.schedule.elided.get(key)?.pieces.map(({ source, offset, size, at }) => {
      const place = rangeAt(this.schedule.places.get(source)!, 0);
      return { buffer: place.buffer, offset: place.offset + offset, size, at };
    });
  }

  #slot(t: Tensor): PlanSlot {
    const { buffer, offset } = rangeAt(this.schedule.places.get(t.key)!, 0);
    return { buffer, offset, bytes: bytesOf(t), shape: [...t.shape], dtype: t.dtype };
  }

  /** Every tensor of the graph, for audits. */
  #tensors(): Record<string, PlanSlot> {
    const { nodes, places } = this.schedule;
    const tensors: Record<string, PlanSlot> = {};
    for (const node of nodes) {
      node.outputs.forEach((type, i) => {
        const key = `${node.id}:${i}`, place = places.get(key)!;
        const pieces = this.#pieces(key);
        const { buffer, offset } = pieces?.[0] ?? rangeAt(place, 0);
        const known = { bytes: bytesOf(type), shape: type.shape, dtype: type.dtype };
        // What is handed out stays in its memory, longer than in its texture.
        const stays = place.allocation.last === nodes.length;
        const dispatch = this.#filled.get(key);
        const home = dispatch === undefined || stays
          ? {}
          : { home: { texture: this.#reserved[this.#textureOf.get(key)!], dispatch } };
        tensors[key] = { buffer, offset, ...known, ...(pieces ? { pieces } : {}), ...home };
      });
    }
    return tensors;
  }
}
