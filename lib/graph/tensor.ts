/** What a graph is made of: typed tensors and the immutable nodes that produce them. */

import type { Graph } from "./graph.ts";

/** Element types. */
export type DType = "f32" | "f16" | "i32" | "u32";

/** How activations and their gradients are stored. */
export type Precision = "f32" | "f16";

/** Shape (row-major, images NCHW) and element type. */
export interface TensorType {
  /** Row-major; images are [N,C,H,W]. */
  readonly shape: readonly number[];
  /** Type of an element. */
  readonly dtype: DType;
}

/**
 * Plain JSON: what an op needs to know beside its inputs. Every op has a type for its own.
 * @internal
 */
export type Attrs = object;

/**
 * One application of an op. Created by `Graph.append` only and never changed.
 * @internal
 */
export interface Node<A extends Attrs = Attrs> {
  readonly id: number;
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attrs: Readonly<A>;
  readonly outputs: readonly TensorType[];
  /** Where in the model it comes from, e.g. `down_blocks.0.resnets.0.conv1`. */
  readonly scope: string;
  readonly phase: "forward" | "backward" | "update";
}

/** The name of an input or state; undefined for a node that an op made. */
export function sourceName({ op, attrs }: Node): string | undefined {
  return op === "input" || op === "state" ? (attrs as { readonly name: string }).name : undefined;
}

/**
 * A value of a graph: one output of one node. Ops take and give these.
 *
 * @example
 * ```ts
 * import { f32, Graph, silu } from "@lung-ddpm/webgpu";
 * const y = silu(new Graph().input("x", f32(2, 3)));
 * y.shape; // [2, 3]
 * ```
 */
export class Tensor implements TensorType {
  /** The graph it belongs to. */
  readonly graph: Graph;
  /**
   * What makes it.
   * @internal
   */
  readonly node: Node;
  /**
   * Which of the node's outputs it is.
   * @internal
   */
  readonly index: number;

  /** @internal */
  constructor(graph: Graph, node: Node, index: number) {
    this.graph = graph;
    this.node = node;
    this.index = index;
  }

  /** Row-major; images are [N,C,H,W]. */
  get shape(): readonly number[] {
    return this.node.outputs[this.index].shape;
  }

  /** Type of an element. */
  get dtype(): DType {
    return this.node.outputs[this.index].dtype;
  }

  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Identifies the tensor within its graph. */
  get key(): string {
    return `${this.node.id}:${this.index}`;
  }
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** Bytes of an element. */
export const bytesPer = (dtype: DType): number => dtype === "f16" ? 2 : 4;

export function bytesOf({ shape, dtype }: TensorType): number {
  return sizeOf(shape) * bytesPer(dtype);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** `input [4,96,32,32]`: how errors name a shape. */
export function show(name: string, type: TensorType): string {
  return `${name} [${type.shape}]${type.dtype === "f32" ? "" : ` ${type.dtype}`}`;
}
