/** How kernels walk over rows of memory: as vec4 where rows are aligned, and in which workgroups. */

import type { KernelSource, Lowering } from "../../graph/kernel_call.ts";
import type { DeviceProfile, Variant } from "../../graph/op.ts";
import { type DType, sizeOf, type TensorType } from "../../graph/tensor.ts";
import { kernel, storedAs } from "./checks.ts";
import { REDUCE, STORES, storingOn } from "./subgroup_sharing.ts";
import stagedLibrary from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import xVec4 from "../../../kernels/lib/read_x_vec4.wgsl" with { type: "text" };
import xScalar from "../../../kernels/lib/read_x_scalar.wgsl" with { type: "text" };
import xVec4OfTwo from "../../../kernels/lib/read_x_vec4_of_two.wgsl" with { type: "text" };
import xScalarOfTwo from "../../../kernels/lib/read_x_scalar_of_two.wgsl" with { type: "text" };
import xStaged from "../../../kernels/lib/read_x_staged.wgsl" with { type: "text" };
import qkvVec4 from "../../../kernels/lib/read_qkv_vec4.wgsl" with { type: "text" };
import qkvStaged from "../../../kernels/lib/read_qkv_staged.wgsl" with { type: "text" };
import dyVec4 from "../../../kernels/lib/read_dy_vec4.wgsl" with { type: "text" };
import dyScalar from "../../../kernels/lib/read_dy_scalar.wgsl" with { type: "text" };
import dyStaged from "../../../kernels/lib/read_dy_staged.wgsl" with { type: "text" };

/** How a kernel reads its tensors x (and dy): its libraries and what they make of its `Value`. */
export interface Reading {
  readonly name: "vec4" | "scalar" | "staged";
  /** Floats read at once; lengths in params count in these. */
  readonly width: 1 | 4;
  /** Values of the kernel's line `alias Value`. */
  readonly value: { readonly Value: string };
  /** Values of the kernel's line `const LANES`, the components of a Value as a vec4 that count. */
  readonly lanes: { readonly LANES: string };
  /** Values of the libraries' lines `alias StoredX` and `alias StoredDy`, where they have them. */
  readonly x: Readonly<Record<string, string>>;
  readonly dy: Readonly<Record<string, string>>;
  /** Values of the kernel's line `alias Stored`. */
  readonly stored: { readonly Stored: string };
}

interface ReadTypes {
  /** Of the output; that of the tensor by default. */
  readonly stored?: DType;
  /** Of a second tensor, dy; that of the first by default. */
  readonly dy?: DType;
}

function readingOf(
  name: Reading["name"],
  dtype: DType,
  { stored = dtype, dy = dtype }: ReadTypes = {},
): Reading {
  const width = name === "scalar" ? 1 : 4;
  const isStorage = name !== "staged";
  return {
    name,
    width,
    value: { Value: storedAs("f32", width).Stored },
    lanes: { LANES: width === 4 ? "vec4<f32>(1.0)" : "vec4<f32>(1.0, 0.0, 0.0, 0.0)" },
    x: isStorage ? { StoredX: storedAs(dtype, width).Stored } : {},
    dy: isStorage ? { StoredDy: storedAs(dy, width).Stored } : {},
    stored: storedAs(stored, isStorage ? width : "staged 4"),
  };
}

/** The way to read rows of `length` elements from storage. */
export const storageReading = (length: number, dtype: DType = "f32"): Reading =>
  readingOf(length % 4 ? "scalar" : "vec4", dtype);

/** Floats in the largest staging texture, 8,191 rows of 2,048 texels (lib/plan/staging.ts). */
const STAGED_FLOATS = 4 * 2048 * 8191;

/** Whether a tensor fits the textures that the planner copies tensors to. */
export const stageable = ({ shape, dtype }: TensorType): boolean =>
  (dtype === "f32" || dtype === "f16") && sizeOf(shape) <= STAGED_FLOATS;

/** Variants that read from storage and from textures, best first. */
export function storageOrStaged<T>(
  device: DeviceProfile,
  tensors: readonly TensorType[],
  storage: T,
  staged: T,
): T[] {
  const { maxStorageTexturesPerShaderStage: most } = device.limits;
  if (tensors.length > most || !tensors.every(stageable)) return [storage];
  return device.software ? [staged, storage] : [storage, staged];
}

/**
 * Ways to read the rows of `tensor`, `length` elements each, best first: vec4 where every row starts
 * and ends at a multiple of 4 elements, from storage or, faster on software Vulkan, from a texture to
 * which the planner copies the tensor; else single elements.
 */
export function readings(
  device: DeviceProfile,
  tensor: TensorType,
  length: number,
  types: ReadTypes = {},
): Reading[] {
  const storage = readingOf(length % 4 ? "scalar" : "vec4", tensor.dtype, types);
  if (storage.name === "scalar") return [storage];
  return storageOrStaged(device, [tensor], storage, readingOf("staged", tensor.dtype, types));
}

const LIBRARIES = {
  x: { vec4: xVec4, scalar: xScalar, staged: xStaged },
  dy: { vec4: dyVec4, scalar: dyScalar, staged: dyStaged },
  // Attention pads its rows, and so has no scalar reading.
  qkv: { vec4: qkvVec4, scalar: qkvVec4, staged: qkvStaged },
};

/** A kernel that reads x from storage so many elements at a time, also where it lies in two buffers. */
export function storageKernel(
  width: 1 | 4,
  file: string,
  text: string,
  ...libraries: string[]
): KernelSource {
  const [whole, ofTwo] = width === 4 ? [xVec4, xVec4OfTwo] : [xScalar, xScalarOfTwo];
  return {
    ...kernel(file, text, whole, ...libraries),
    ofTwo: { source: kernel(file, text, ofTwo, ...libraries), width },
  };
}

/** A kernel that reads x, dy, or q, k and v by way of the libraries of each reading. */
export function readingKernels(
  file: string,
  text: string,
  ...tensors: (keyof typeof LIBRARIES)[]
): Record<Reading["name"], KernelSource> {
  const make = (name: Reading["name"]) => {
    const isX = tensors[0] === "x" && name !== "staged";
    const reads = (isX ? tensors.slice(1) : tensors).map((tensor) => LIBRARIES[tensor][name]);
    if (isX) return storageKernel(name === "vec4" ? 4 : 1, file, text, ...reads);
    return kernel(file, text, ...(name === "staged" ? [stagedLibrary] : []), ...reads);
  };
  return { vec4: make("vec4"), scalar: make("scalar"), staged: make("staged") };
}

/**
 * As `readingKernels`, of kernels that store by kernels/lib/stores.wgsl: what reads from textures stores
 * as the device likes it.
 */
export function storingKernels(
  file: string,
  text: string,
  ...tensors: (keyof typeof LIBRARIES)[]
): (name: Reading["name"], device: DeviceProfile) => KernelSource {
  const of = (stores: string) => readingKernels(file, `${stores}\n${text}`, ...tensors);
  const [alone, low] = [of(STORES.alone), of(STORES[16])];
  return (name, device) => (name === "staged" && storingOn(device) === 16 ? low : alone)[name];
}

/**
 * As `readingKernels`, of kernels that join what a workgroup of `reductionWorkgroup` has by
 * kernels/lib/reduce.wgsl; `libraries` stand before that.
 */
export function reducingKernels(
  file: string,
  text: string,
  tensors: readonly (keyof typeof LIBRARIES)[],
  ...libraries: string[]
): (name: Reading["name"], device: DeviceProfile) => KernelSource {
  const of = (reduce: string) =>
    readingKernels(file, [...libraries, text, reduce].join("\n"), ...tensors);
  const forms = { alone: of(REDUCE.alone), 8: of(REDUCE[8]), 16: of(REDUCE[16]) };
  return (name, device) => forms[storingOn(device)][name];
}

/** A variant for each reading. */
export function variantsOf(
  all: readonly Reading[],
  build: (reading: Reading) => Lowering,
): Variant[] {
  return all.map((reading) => ({ name: reading.name, exact: true, build: () => build(reading) }));
}

/**
 * Workgroup size of a reduction: on software each further lane is another pass over its code.
 * kernels/lib/reduce.wgsl wants eight at least.
 */
export function reductionWorkgroup(device: DeviceProfile): number {
  return device.software
    ? Math.max(8, device.lanes)
    : Math.min(256, device.limits.maxComputeInvocationsPerWorkgroup);
}

/**
 * Workgroups of kernels that cover `rows` rows of `length` units, none across two rows: each takes
 * `steps` units a lane, `chunks` workgroups a row, from which the kernel rebuilds row and chunk of
 * the folded index. On software long invocations pay for what they load once a row; a real GPU
 * wants many of them.
 */
export function rowGrid(device: DeviceProfile, rows: number, length: number) {
  const [workgroup, steps] = device.software ? [device.lanes, 32] : [64, 4];
  const chunks = Math.ceil(length / (steps * workgroup));
  return {
    constants: { WORKGROUP: workgroup },
    params: { rows, length, chunks, steps },
    workgroups: foldGrid(rows * chunks),
  };
}

/** `count` workgroups folded over x and y: index = y · num_workgroups.x + x, to be checked. */
export function foldGrid(count: number): [number, number, number] {
  const x = Math.min(Math.max(count, 1), 32768);
  return [x, Math.max(1, Math.ceil(count / x)), 1];
}

/** Refuses what would pass the 65,535 loop iterations after which software Vulkan stops silently. */
export function requireLoop(what: string, iterations: number): void {
  if (iterations > 65535) {
    throw new Error(`${what} ${iterations} must be at most 65535, the longest loop on any device`);
  }
}
