/** The anatomy of an op: shape rule, gradient, float64 reference, lowering, cost and test cases. */

import type { Lowering } from "./kernel_call.ts";
import { type Attrs, bytesOf, type Node, type Tensor, type TensorType } from "./tensor.ts";

/** What lowering may rely on. Plain data, so that planning works without a GPU. */
export interface DeviceProfile {
  /** WebGPU's limits. */
  readonly limits: {
    readonly maxComputeWorkgroupStorageSize: number;
    readonly maxComputeInvocationsPerWorkgroup: number;
    readonly maxComputeWorkgroupsPerDimension: number;
    readonly maxStorageBuffersPerShaderStage: number;
    readonly maxStorageTexturesPerShaderStage: number;
    readonly maxStorageBufferBindingSize: number;
    readonly maxUniformBufferBindingSize: number;
    readonly minStorageBufferOffsetAlignment: number;
    readonly minUniformBufferOffsetAlignment: number;
  };
  /** WebGPU's features, where granted. */
  readonly features: readonly string[];
  /** A software rasteriser: threads are CPU cores, workgroup memory and barriers are dear. */
  readonly software: boolean;
  /** Invocations that a software rasteriser runs as one vector of the processor: 8 or 16. */
  readonly lanes: number;
}

/** What decides between forms of a graph. */
export type DeviceKind = Pick<DeviceProfile, "software" | "lanes" | "features">;

export interface LowerContext<A extends Attrs = Attrs> {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  readonly attrs: Readonly<A>;
  readonly device: DeviceProfile;
}

/**
 * One way to compute a node.
 * @internal
 */
export interface Variant {
  /** Stable name, stored by the tuner: `direct`, `winograd_f4`. */
  readonly name: string;
  /** False where rounding differs from the plain sum (Winograd); `--exact` leaves those out. */
  readonly exact: boolean;
  build(): Lowering;
  /** Where it starts from something that other nodes may start from too. */
  readonly kept?: KeptForm;
}

/** A variant whose first calls make `bytes` of scratch memory from an input, and leave it whole. */
export interface KeptForm {
  readonly input: number;
  readonly bytes: number;
  build(): Lowering;
}

export interface Cost {
  /** Multiplications and additions, a fused one counted as two. */
  readonly flops: number;
  /** The fewest bytes: every input read once, every output written once. */
  readonly bytes: number;
}

/** How a test fills an input. */
export type Fill =
  | { readonly kind: "normal"; readonly mean?: number; readonly std?: number }
  | { readonly kind: "uniform"; readonly low: number; readonly high: number }
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "integers"; readonly low: number; readonly high: number }
  | { readonly kind: "values"; readonly values: readonly number[] };

/**
 * Drives an op's GPU test, its gradient check and its benchmark alike.
 * @internal
 */
export interface OpCase<A extends Attrs = Attrs> {
  readonly name: string;
  readonly inputs: readonly (TensorType & { readonly fill?: Fill })[];
  readonly attrs: Readonly<A>;
  /** Largest allowed ‖gpu − float64‖ / ‖float64‖ per output, with the reason in a comment. */
  readonly tolerance: number;
  /** The same for variants that are not exact, if they may err more. */
  readonly inexactTolerance?: number;
  /** Also replay the gradient against finite differences in float64 (default: if differentiable). */
  readonly checkGradient?: boolean;
}

/** Inputs and outputs of a node, by index, that are all f32 or all f16. */
export interface StoredAlike {
  readonly inputs?: readonly number[];
  readonly outputs?: readonly number[];
  /** `attrs.dtype` names the outputs' type (f32 where absent); else it is that of the inputs. */
  readonly named?: boolean;
  /** Read again and again: reading f16 costs a software device a conversion each time. */
  readonly rereads?: boolean;
}

/**
 * How the planner gives an op memory without running anything, in elements: its output is part of its
 * input, from an offset on; or each input is made in its place within the output.
 */
export type Alias =
  | { readonly kind: "view"; readonly offset: number }
  | { readonly kind: "pack"; readonly offsets: readonly number[] };

/** In elements. */
export interface Piece {
  readonly input: number;
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

/** Written as a method, so that an op of whatever attributes is an `OpDef`. */
interface Differentiable<A extends Attrs> {
  vjp(
    node: Node<A>,
    grads: (Tensor | undefined)[],
    needs: boolean[],
  ): (Tensor | undefined)[];
}

/**
 * An op with attributes of type `A`.
 * @internal
 */
export interface OpDef<A extends Attrs = Attrs> {
  /** Its name in graphs, plans and audits, and in the registry. */
  readonly name: string;
  /** Output types. Throws an Error that names action, argument, actual and required. */
  infer(inputs: readonly TensorType[], attrs: Readonly<A>): TensorType[];
  /**
   * Gradients of the inputs from those of the outputs (`undefined`: not asked for, or no gradient
   * flows). `needs[i]` says whether input i's gradient is wanted.
   */
  readonly vjp: Differentiable<A>["vjp"] | "non-differentiable";
  /** Plain float64 loops. Integers come as whole float64 numbers. */
  reference(
    inputs: readonly Float64Array[],
    attrs: Readonly<A>,
    inputTypes: readonly TensorType[],
    outputTypes: readonly TensorType[],
  ): Float64Array[];
  /** Ways to run it, best guess first; empty only for ops with an `alias`. */
  lower(context: LowerContext<A>): Variant[];
  cost(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: Readonly<A>): Cost;
  /** Which tensors of a node may be stored as f16 (`passes/precision.ts`). */
  half?(attrs: Readonly<A>, inputs: readonly TensorType[]): readonly StoredAlike[];
  /** Of an op that computes nothing. */
  alias?(attrs: Readonly<A>): Alias;
  /**
   * Of an op that only joins or cuts its inputs, one output: elements [offset, offset + size) of an
   * input are those of the output from `at` on. The planner may then do without the output's memory.
   */
  pieces?(
    inputs: readonly TensorType[],
    outputs: readonly TensorType[],
    attrs: Readonly<A>,
  ): readonly Piece[];
  /**
   * Output index → input index that shares its memory. The kernel reads and writes the one buffer
   * through the output's binding.
   */
  readonly inPlace?: Readonly<Record<number, number>>;
  readonly cases: readonly OpCase<A>[];
}

/** The attributes of a node of this op; undefined for one of another. */
export function attrsOf<A extends Attrs>(node: Node, op: OpDef<A>): Readonly<A> | undefined {
  return node.op === op.name ? node.attrs as A : undefined;
}

/**
 * Ops by name; `OPS` has all.
 * @internal
 */
export type Registry = Readonly<Record<string, OpDef>>;

/** Ops by their names. */
export function registryOf(ops: readonly OpDef[]): Registry {
  const registry: Record<string, OpDef> = {};
  for (const op of ops) {
    if (Object.hasOwn(registry, op.name)) throw new Error(`Two ops have the name "${op.name}"`);
    registry[op.name] = op;
  }
  return registry;
}

/** Bytes of all inputs and outputs, each once: the usual `cost.bytes`. */
export function trafficOf(inputs: readonly TensorType[], outputs: readonly TensorType[]): number {
  return [...inputs, ...outputs].reduce((sum, t) => sum + bytesOf(t), 0);
}
