/** Gives each allocation a buffer: inputs and states their own, the rest shares by liveness. */

import { bytesOf, sourceName, type Tensor } from "../graph/tensor.ts";
import { roundUp } from "./binding.ts";
import type { PlanBuffer } from "./plan.ts";
import type { Allocation, Schedule } from "./schedule.ts";

export interface Memory {
  readonly buffers: PlanBuffer[];
  /** What shares buffers, in the order of first use. */
  readonly shared: readonly Allocation[];
}

export function assignMemory(schedule: Schedule): Memory {
  const buffers: PlanBuffer[] = [];
  const { graph, places } = schedule;
  for (const [role, table] of [["input", graph.inputs], ["state", graph.states]] as const) {
    for (const [name, t] of table) {
      places.get(t.key)!.allocation.buffer = buffers.length;
      buffers.push({ bytes: roundUp(bytesOf(t), 16), role, name });
    }
  }
  const shared = lifetimes(schedule);
  // Shared objects, largest first: each takes the first buffer that is free for its whole life.
  const occupied: { buffer: number; by: Allocation[] }[] = [];
  for (const one of shared.toSorted((a, b) => b.bytes - a.bytes || a.first - b.first)) {
    let slot = occupied.find(({ by }) =>
      by.every((other) => other.last < one.first || one.last < other.first)
    );
    if (!slot) {
      const name = `arena ${occupied.length}`;
      slot = { buffer: buffers.push({ bytes: one.bytes, role: "arena", name }) - 1, by: [] };
      occupied.push(slot);
    }
    slot.by.push(one);
    one.buffer = slot.buffer;
  }
  return { buffers, shared };
}

/** Bytes and first and last use of each allocation without a buffer, in the order of first use. */
function lifetimes({ graph, nodes, places, scheduled, elided, resident }: Schedule): Allocation[] {
  const shared = new Set<Allocation>();
  const touch = (one: Allocation, at: number) => {
    if (!shared.has(one)) return;
    one.first = Math.min(one.first, at);
    one.last = Math.max(one.last, at);
  };
  const touchTensor = (t: Pick<Tensor, "key">, at: number) =>
    touch(places.get(t.key)!.allocation, at);
  for (const [at, node] of nodes.entries()) {
    if (sourceName(node) !== undefined) continue;
    node.outputs.forEach((type, i) => {
      const key = `${node.id}:${i}`, { allocation, offset } = places.get(key)!;
      if (allocation.buffer !== undefined || elided.has(key)) return;
      shared.add(allocation);
      allocation.bytes = Math.max(allocation.bytes, roundUp(offset + bytesOf(type), 16));
      touch(allocation, at);
    });
    for (const { key } of node.inputs) {
      // Once in its texture, it needs its memory no more.
      if (at > (resident.get(key)?.first ?? at)) continue;
      for (const source of elided.get(key)?.pieces.map((p) => p.source) ?? [key]) {
        touchTensor({ key: source }, at);
      }
    }
    for (const one of scheduled.get(node)?.scratch ?? []) {
      if (!shared.has(one)) one.bytes = roundUp(one.bytes, 16);
      shared.add(one);
      touch(one, at);
    }
  }
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) {
    touchTensor(t, nodes.length);
  }
  // What is made once stays.
  for (const { calls, scratch } of scheduled.values()) {
    for (const { call, runs } of calls) {
      if (runs !== "once") continue;
      for (const ref of Object.values(call.bindings)) {
        if (ref.kind !== "scratch") continue;
        touch(scratch[ref.index], 0);
        touch(scratch[ref.index], nodes.length);
      }
    }
  }
  return [...shared];
}
