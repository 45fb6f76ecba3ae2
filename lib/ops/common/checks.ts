/** Small things that ops share: kernel texts, argument checks, single-variant lowering. */

import type { KernelSource, Lowering } from "../../graph/kernel_call.ts";
import type { DeviceKind, Variant } from "../../graph/op.ts";
import { type DType, sameShape, show, type TensorType } from "../../graph/tensor.ts";

/** A kernel file with the library texts it declares joined in front. */
export function kernel(file: string, text: string, ...libraries: string[]): KernelSource {
  return { file: `kernels/${file}`, text: [...libraries, text].join("\n") };
}

/** The one exact way to run an op. */
export function only(name: string, build: () => Lowering): Variant[] {
  return [{ name, exact: true, build }];
}

/** Invocations of a subgroup in kernels that share by lanes. */
export type SubgroupLanes = 8 | 16;

/**
 * Invocations of a subgroup where kernels run in which one reads values once for all of them: on a
 * software device, where a subgroup is a vector of the processor, of a width that kernels are written for.
 */
export function subgroupLanes({ software, lanes, features }: DeviceKind) {
  if (!software || !features.includes("subgroups")) return undefined;
  return lanes === 8 || lanes === 16 ? lanes satisfies SubgroupLanes : undefined;
}

export function requireFloat(name: string, type: TensorType): void {
  if (type.dtype !== "f32") throw new Error(`${show(name, type)} must be f32`);
}

/** For tensors that may be stored as f16. */
export function requireStored(name: string, type: TensorType): void {
  if (type.dtype !== "f32" && type.dtype !== "f16") {
    throw new Error(`${show(name, type)} must be f32 or f16`);
  }
}

export function requireRank(name: string, type: TensorType, rank: number): void {
  if (type.shape.length !== rank) {
    throw new Error(`${show(name, type)} must have ${rank} dimensions`);
  }
}

export function requireSame(aName: string, a: TensorType, bName: string, b: TensorType): void {
  if (!sameShape(a.shape, b.shape)) {
    throw new Error(`${show(aName, a)} must have the shape of ${show(bName, b)}`);
  }
}

/** Same shape and type. */
export function requireAlike(aName: string, a: TensorType, bName: string, b: TensorType): void {
  requireSame(aName, a, bName, b);
  if (a.dtype !== b.dtype) {
    throw new Error(`${show(aName, a)} must have the type of ${show(bName, b)}`);
  }
}

/** How an op stores its output; f32 where it is not said. */
export interface Stored {
  readonly dtype?: DType;
}

export const storedType = ({ dtype = "f32" }: Stored): DType => dtype;

/**
 * The value of a kernel's line `alias Stored`: so many elements of a tensor's type. Kernels that join
 * staged.wgsl store four f16 as two words, which they make themselves.
 */
export function storedAs(dtype: DType, elements: 1 | 4 | "staged 4"): { readonly Stored: string } {
  if (elements === "staged 4" && dtype === "f16") return { Stored: "vec2<u32>" };
  return { Stored: elements === 1 ? dtype : `vec4<${dtype}>` };
}

/**
 * The type of a float32 tensor.
 *
 * @example
 * ```ts
 * import { f32 } from "@lung-ddpm/webgpu";
 * f32(1, 3, 8, 8); // { shape: [1, 3, 8, 8], dtype: "f32" }
 * ```
 */
export const f32 = (...shape: number[]): TensorType => ({ shape, dtype: "f32" });

/**
 * The type of an int32 tensor, as timesteps are.
 *
 * @example
 * ```ts
 * import { i32 } from "@lung-ddpm/webgpu";
 * i32(8); // { shape: [8], dtype: "i32" }
 * ```
 */
export const i32 = (...shape: number[]): TensorType => ({ shape, dtype: "i32" });

/** Workgroup size of elementwise kernels. */
export const ELEMENTWISE = 64;
