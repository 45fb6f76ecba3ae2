/** What a kernel call binds: ranges of buffers, textures, shaders; and what WebGPU forbids of it. */

import type { BufferRef, KernelCall } from "../graph/kernel_call.ts";
import type { DeviceProfile } from "../graph/op.ts";
import type { Node } from "../graph/tensor.ts";
import type { PlanBinding, PlanPiece, PlanShader, PlanStage } from "./plan.ts";
import type { Staged, Staging } from "./staging.ts";
import { type StagedType, STAGING_ROWS, stagingRowBytes } from "./staging_layout.ts";
import { shaderInterface, specialize, withHalves } from "./wgsl.ts";

export const roundUp = (n: number, to: number) => Math.ceil(n / to) * to;

interface Range {
  buffer: number;
  offset: number;
  size: number;
  /** Where the tensor has no memory of its own; `buffer` and `offset` are then those of the first. */
  pieces?: readonly PlanPiece[];
}

export function range(whole: Range, ref: BufferRef): Range {
  if (ref.offset === undefined) return whole;
  return { buffer: whole.buffer, offset: whole.offset + ref.offset, size: roundUp(ref.size!, 16) };
}

export function shaderId(
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

export function bind(
  call: KernelCall,
  resolve: (ref: BufferRef, name: string) => Range,
  placeParams: () => Range,
): PlanBinding[] {
  const unused = new Set(Object.keys(call.bindings));
  const result = shaderInterface(call.kernel).bindings.map(({ binding, name }): PlanBinding => {
    if (name === "params") return { binding, name, ...placeParams() };
    const ref = call.bindings[name];
    if (!ref) throw new Error(`${call.kernel.file}: nothing is bound to "${name}"`);
    unused.delete(name);
    return { binding, name, ...resolve(ref, name) };
  });
  if (unused.size) throw new Error(`${call.kernel.file}: no variable ${[...unused].join(", ")}`);
  return result;
}

/** Gives each range that the kernel reads as a texture a place to be copied to. */
export function stageTextures(
  call: KernelCall,
  bindings: readonly PlanBinding[],
  staging: Staging,
  { dtypeOf, useOf, homeOf }: {
    dtypeOf(binding: PlanBinding): StagedType;
    useOf(binding: PlanBinding): Staged["use"];
    homeOf(binding: PlanBinding): Staged["home"];
  },
): { bindings: readonly PlanBinding[]; stage: readonly PlanStage[] } {
  const { bindings: declared } = shaderInterface(call.kernel);
  const access = new Map(declared.map((b) => [b.binding, b.access]));
  const read = bindings.filter((b) => access.get(b.binding) === "texture");
  const { textures, stage } = staging.place(
    read.map((b) => ({
      pieces: b.pieces ?? [{ buffer: b.buffer, offset: b.offset, size: b.size, at: 0 }],
      dtype: dtypeOf(b),
      use: useOf(b),
      home: homeOf(b),
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
export function checkHazards(call: KernelCall, bindings: readonly PlanBinding[], node: Node): void {
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

export function checkSizes(
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
