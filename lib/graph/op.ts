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

export interface LowerContext {
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  readonly attrs: Attrs;
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
export interface OpCase {
  readonly name: string;
  readonly inputs: readonly (TensorType & { readonly fill?: Fill })[];
  readonly attrs: Attrs;
  /** Largest allowed ‖gpu − float64‖ / ‖float64‖ per output, with the reason in a comment. */
  readonly tolerance: number;
  /** The same for variants that are not exact, if they may err more. */
  readonly inexactTolerance?: number;
  /** Also replay the gradient against finite differences in float64 (default: if differentiable). */
  readonly checkGradient?: boolean;
}

/**
 * Every op there is; the registry in `lib/ops/mod.ts` must have a row for each.
 * @internal
 */
export type OpName =
  | "add"
  | "conv2d"
  | "conv2d_backward_data"
  | "conv2d_backward_weight"
  | "conv2d_flat"
  | "conv2d_normalised"
  | "conv2d_upsampled"
  | "conv2d_upsampled_backward_data"
  | "conv2d_upsampled_backward_weight"
  | "pack"
  | "scale"
  | "silu"
  | "silu_backward"
  | "accumulate"
  | "adamw"
  | "guidance"
  | "guidance_rescale"
  | "blend"
  | "log_scalar"
  | "q_sample"
  | "random_bits"
  | "random_normal"
  | "scheduler_step"
  | "view"
  | "group_norm_stats"
  | "group_norm_apply"
  | "group_norm_sums"
  | "group_norm_totals"
  | "group_norm_data_gradient"
  | "upsample_nearest_2x"
  | "upsample_nearest_2x_backward"
  | "concat"
  | "slice"
  | "slice_backward"
  | "add_channel"
  | "sum_spatial"
  | "sum_batch"
  | "average_pool2d"
  | "max_pool2d"
  | "unfold2d"
  | "relu"
  | "linear"
  | "linear_data_gradient"
  | "linear_parameter_gradients"
  | "timestep_embedding"
  | "mse"
  | "mse_with_gradient"
  | "dice_bce"
  | "dice_bce_backward"
  | "dice_bce_sums"
  | "dice_bce_sums_backward"
  | "scale_images"
  | "gradient_clip"
  | "loss_scale"
  | "attention"
  | "attention_backward";

/** Inputs and outputs of a node, by index, that are all f32 or all f16. */
export interface StoredAlike {
  readonly inputs?: readonly number[];
  readonly outputs?: readonly number[];
  /** `attrs.dtype` names the outputs' type (f32 where absent); else it is that of the inputs. */
  readonly named?: boolean;
  /** Read again and again: reading f16 costs a software device a conversion each time. */
  readonly rereads?: boolean;
}

/** In elements. */
export interface Piece {
  readonly input: number;
  readonly offset: number;
  readonly size: number;
  readonly at: number;
}

/**
 * An op.
 * @internal
 */
export interface OpDef {
  readonly name: OpName;
  /** Output types. Throws an Error that names action, argument, actual and required. */
  infer(inputs: readonly TensorType[], attrs: Attrs): TensorType[];
  /**
   * Gradients of the inputs from those of the outputs (`undefined`: not asked for, or no gradient
   * flows). `needs[i]` says whether input i's gradient is wanted.
   */
  readonly vjp:
    | ((node: Node, grads: (Tensor | undefined)[], needs: boolean[]) => (Tensor | undefined)[])
    | "non-differentiable";
  /** Plain float64 loops. Integers come as whole float64 numbers. */
  reference(
    inputs: readonly Float64Array[],
    attrs: Attrs,
    inputTypes: readonly TensorType[],
    outputTypes: readonly TensorType[],
  ): Float64Array[];
  /** Ways to run it, best guess first; empty only for ops that the planner turns into aliases. */
  lower(context: LowerContext): Variant[];
  cost(inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: Attrs): Cost;
  /** Which tensors of a node may be stored as f16 (`precision.ts`). */
  half?(attrs: Attrs, inputs: readonly TensorType[]): readonly StoredAlike[];
  /**
   * Of an op that only joins or cuts its inputs, one output: elements [offset, offset + size) of an
   * input are those of the output from `at` on. The planner may then do without the output's memory.
   */
  pieces?(
    inputs: readonly TensorType[],
    outputs: readonly TensorType[],
    attrs: Attrs,
  ): readonly Piece[];
  /**
   * Output index → input index that shares its memory. The kernel reads and writes the one buffer
   * through the output's binding.
   */
  readonly inPlace?: Readonly<Record<number, number>>;
  readonly cases: readonly OpCase[];
}

/**
 * Ops by name; `OPS` has all.
 * @internal
 */
export type Registry = Readonly<Record<string, OpDef>>;

/** Bytes of all inputs and outputs, each once: the usual `cost.bytes`. */
export function trafficOf(inputs: readonly TensorType[], outputs: readonly TensorType[]): number {
  return [...inputs, ...outputs].reduce((sum, t) => sum + bytesOf(t), 0);
}
