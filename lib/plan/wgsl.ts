/** Reads what a WGSL file declares, and rewrites the few lines that it marks for rewriting. */

import type { KernelSource } from "../graph/kernel_call.ts";

export interface ShaderBinding {
  readonly binding: number;
  readonly name: string;
  readonly access: "uniform" | "read" | "read_write" | "texture";
}

export interface ShaderInterface {
  readonly bindings: readonly ShaderBinding[];
  /** Fields of `struct Params` in order; each is one 4-byte word. */
  readonly params: readonly { readonly name: string; readonly type: "u32" | "i32" | "f32" }[];
  readonly overrides: readonly string[];
  readonly specializable: readonly string[];
}

const withoutComments = (text: string) => text.replace(/\/\/[^\n]*/g, "");

const interfaces = new Map<string, ShaderInterface>();

/** Bindings, parameters and constants that a shader declares. */
export function shaderInterface(source: KernelSource): ShaderInterface {
  const known = interfaces.get(source.text);
  if (known) return known;
  const code = withoutComments(source.text);
  const bindings: ShaderBinding[] = [];
  const declaration = /@group\(0\)\s*@binding\((\d+)\)\s*var<([^>]+)>\s*(\w+)\s*:/g;
  for (const [, binding, space, name] of code.matchAll(declaration)) {
    const words = space.split(",").map((s) => s.trim());
    const access = words[0] === "uniform" ? "uniform" : (words[1] ?? "read");
    bindings.push({ binding: Number(binding), name, access: access as ShaderBinding["access"] });
  }
  for (
    const [, binding, name] of code.matchAll(
      /@group\(0\)\s*@binding\((\d+)\)\s*var\s+(\w+)\s*:\s*texture_storage_2d<rgba32float, read>/g,
    )
  ) {
    bindings.push({ binding: Number(binding), name, access: "texture" });
  }
  const struct = code.match(/struct\s+Params\s*\{([^}]*)\}/);
  const params = (struct?.[1] ?? "").split(",").map((s) => s.trim()).filter(Boolean).map(
    (field) => {
      const match = field.match(/^(\w+)\s*:\s*(u32|i32|f32)$/);
      if (!match) {
        throw new Error(`${source.file}: Params field "${field}" must be u32, i32 or f32`);
      }
      return { name: match[1], type: match[2] as "u32" | "i32" | "f32" };
    },
  );
  const result: ShaderInterface = {
    bindings: bindings.sort((a, b) => a.binding - b.binding),
    params,
    overrides: [...code.matchAll(/^\s*(?:@id\(\d+\)\s*)?override\s+(\w+)/gm)].map((m) => m[1]),
    specializable: [...source.text.matchAll(MARKED)].map((m) => m[2]),
  };
  interfaces.set(source.text, result);
  return result;
}

const MARKED = /^(const|alias)\s+(\w+)([^=\n]*)=\s*([^;\n]+);\s*\/\/ @specialize\s*$/gm;

/** Value of `Stored` for which values are made by `half_words` of kernels/lib/staged.wgsl. */
const HALF_WORDS = "vec2<u32>";

/**
 * Rewrites the lines marked `// @specialize`. Lines not named keep the value in the file.
 *
 * @throws on a name that no marked line of the file has.
 */
export function specialize(
  source: KernelSource,
  values: Readonly<Record<string, number | string>> = {},
): string {
  const found = new Set<string>();
  let text = source.text.replace(MARKED, (line, keyword, name, type) => {
    if (!(name in values)) return line;
    found.add(name);
    return `${keyword} ${name}${type}= ${values[name]}; // @specialize`;
  });
  for (const name of Object.keys(values)) {
    if (!found.has(name)) {
      throw new Error(`${source.file}: no line marked @specialize names ${name}`);
    }
  }
  if (values.Stored === HALF_WORDS) text = text.replace(/\bStored\(/g, "half_words(");
  if (/\bf16\b/.test(withoutComments(text)) && !/^enable f16;/m.test(text)) {
    text = `enable f16;\n${text}`;
  }
  return text;
}

/** Lets the kernel read these staged tensors as f16: their declarations, and `staged(NAME, …)`. */
export function withHalves(text: string, names: readonly string[]): string {
  for (const name of names) {
    text = text
      .replace(
        `var ${name}: texture_storage_2d<rgba32float`,
        `var ${name}: texture_storage_2d<rgba16float`,
      )
      .replace(new RegExp(`\\bstaged(_float)?\\(${name},`, "g"), `staged_half$1(${name},`);
  }
  return text;
}

/** Packs parameters into words in the order of the struct as written, padded to 16 bytes. */
export function packParams(
  source: KernelSource,
  values: Readonly<Record<string, number>>,
): Uint32Array {
  const { params } = shaderInterface(source);
  const words = new DataView(new ArrayBuffer(Math.ceil(params.length / 4) * 16));
  const unused = new Set(Object.keys(values));
  params.forEach(({ name, type }, i) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${source.file}: no value for parameter ${name}`);
    unused.delete(name);
    if (type === "f32") words.setFloat32(4 * i, value, true);
    else if (!Number.isInteger(value) || value < -(2 ** 31) || value >= 2 ** 32) {
      throw new Error(`${source.file}: parameter ${name}: ${type} cannot hold ${value}`);
    } else if (type === "i32") words.setInt32(4 * i, value, true);
    else words.setUint32(4 * i, value, true);
  });
  if (unused.size) throw new Error(`${source.file}: Params has no field ${[...unused].join(", ")}`);
  return new Uint32Array(words.buffer);
}
