/**
 * What the passes of planning work on: the nodes of a step in order, the kernel calls that compute
 * them, and the memory that these use. `planner.ts` has the passes in order.
 */

import type { Graph } from "../graph/graph.ts";
import type { KernelCall } from "../graph/kernel_call.ts";
import type { DeviceProfile, Registry } from "../graph/op.ts";
import type { Node } from "../graph/tensor.ts";
import type { ElidedConcat } from "./concat_elision.ts";
import type { Residency } from "./texture_residency.ts";

/** Memory of a tensor and its aliases, or scratch memory of a node. */
export interface Allocation {
  /** Key of the tensor that it is made for, or `scratch node:index`. */
  readonly name: string;
  bytes: number;
  /** Indices of the first and last node that use it. `last` is the number of nodes where it stays. */
  first: number;
  last: number;
  /** Index of the Plan's buffer that it lies in, once it has one. */
  buffer?: number;
}

export const allocation = (name: string, bytes = 0): Allocation => ({
  name,
  bytes,
  first: Infinity,
  last: -Infinity,
});

/** Where a tensor lies. */
export interface Place {
  readonly allocation: Allocation;
  /** Bytes. */
  readonly offset: number;
}

/** When a call runs: `never` where an earlier one has left the same in the same memory. */
export type Runs = "each run" | "once" | "never";

export interface ScheduledCall {
  readonly call: KernelCall;
  runs: Runs;
}

export interface ScheduledNode {
  readonly node: Node;
  readonly variant: string;
  readonly calls: readonly ScheduledCall[];
  /** What the calls' scratch references mean, by index. */
  readonly scratch: Allocation[];
}

export interface Schedule {
  readonly graph: Graph;
  readonly registry: Registry;
  readonly device: DeviceProfile;
  /** Live nodes, in order; those that run nothing (inputs, views) too. */
  readonly nodes: readonly Node[];
  /** By tensor key. */
  readonly places: ReadonlyMap<string, Place>;
  /** Nodes that run something, in order. */
  readonly scheduled: Map<Node, ScheduledNode>;
  /** Nodes that start from the same transform and keep it: the first of each group makes it. */
  readonly transformGroups: readonly (readonly Node[])[];
  /** By tensor key: what has no memory of its own. */
  readonly elided: Map<string, ElidedConcat>;
  /** By tensor key: what stays in a texture. */
  readonly resident: Map<string, Residency>;
}
