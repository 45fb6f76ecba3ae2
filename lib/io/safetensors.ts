/**
 * safetensors files: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes
 * without gap or overlap (format: huggingface/safetensors README and safetensors/src/tensor.rs).
 */

import { InputError } from "../errors.ts";
import { parseJson } from "./json.ts";
import { LIMITS } from "./limits.ts";

/** What a tensor's elements are held in. */
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

type DataMaker = {
  new (buffer: ArrayBuffer, offset: number, length: number): TensorData;
  BYTES_PER_ELEMENT: number;
};

// In the order of safetensors' own enum: the writer sorts by it, widest first.
const MAKERS = {
  BOOL: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
} as const satisfies Record<SafetensorsDtype, DataMaker>;

/** safetensors' names of element types. */
export type SafetensorsDtype =
  | "BOOL"
  | "U8"
  | "I8"
  | "I16"
  | "U16"
  | "F16"
  | "BF16"
  | "I32"
  | "U32"
  | "F32"
  | "F64"
  | "I64"
  | "U64";
const ORDER = Object.keys(MAKERS) as SafetensorsDtype[];

/** A tensor of a file. */
export interface SafeTensor {
  /** Its element type, by safetensors' name. */
  dtype: SafetensorsDtype;
  /** As PyTorch has it. */
  shape: number[];
  /** In C order. F16 and BF16 are their raw 16 bits; see {@link toFloat32}. */
  data: TensorData;
}

/** What a file holds. */
export interface SafetensorsFile {
  /** Its `__metadata__`. */
  metadata: Record<string, string>;
  /** By name. */
  tensors: Map<string, SafeTensor>;
}

const { header: MAX_HEADER, rank: MAX_RANK } = LIMITS.safetensors;

/** Where a tensor's bytes are, from the end of the header. */
interface Entry {
  key: string;
  dtype: SafetensorsDtype;
  shape: number[];
  begin: number;
  end: number;
}

/**
 * Parses a safetensors file. Tensors are views into `bytes` where alignment allows.
 * @param name the file's name, for messages.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, parseSafetensors } from "@lung-ddpm/webgpu";
 * const w = { dtype: "F32" as const, shape: [2], data: Float32Array.of(1, 2) };
 * const file = encodeSafetensors([["w", w]]);
 * parseSafetensors(file, "model.safetensors").tensors.get("w"); // w
 * ```
 */
export function parseSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  const { metadata, start, entries } = parseSafetensorsHeader(bytes, bytes.length, name);
  const tensors = new Map<string, SafeTensor>();
  for (const { key, dtype, shape, begin, end } of entries) {
    const Maker: DataMaker = MAKERS[dtype];
    let from = bytes.subarray(start + begin, start + end);
    if (from.byteOffset % Maker.BYTES_PER_ELEMENT !== 0) from = from.slice();
    const count = from.length / Maker.BYTES_PER_ELEMENT;
    const data = new Maker(from.buffer as ArrayBuffer, from.byteOffset, count);
    tensors.set(key, { dtype, shape, data });
  }
  return { metadata, tensors };
}

/**
 * The header, checked against the length of the file.
 * @param bytes the beginning of the file, with all of its header if that is of a length accepted.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileBytes: number,
  name: string,
): { metadata: Record<string, string>; start: number; entries: Entry[] } {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  if (bytes.length < 8) throw fail(`${bytes.length} bytes, too short for a safetensors file`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getBigUint64(0, true);
  if (headerLength > BigInt(MAX_HEADER)) {
    throw fail(`header of ${headerLength} bytes, at most ${MAX_HEADER} (not a safetensors file?)`);
  }
  const start = 8 + Number(headerLength);
  if (start > bytes.length) {
    throw fail(`truncated: header of ${headerLength} bytes in a file of ${fileBytes}`);
  }
  const header = parseHeader(bytes.subarray(8, start), fail);
  const metadata: Record<string, string> = {};
  const entries: Entry[] = [];
  for (const [key, value] of Object.entries(header)) {
    if (key === "__metadata__") {
      if (!isObject(value)) throw fail("__metadata__ is not an object");
      for (const [k, v] of Object.entries(value)) {
        if (typeof v !== "string") throw fail(`metadata "${k}" is not a string`);
        Object.defineProperty(metadata, k, { value: v, enumerable: true, writable: true });
      }
    } else {
      entries.push(parseEntry(key, value, fileBytes - start, fail));
    }
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { key, begin, end } of entries) {
    if (begin !== at) {
      throw fail(`tensor "${key}" begins at ${begin} where ${at} is expected (gap or overlap)`);
    }
    at = end;
  }
  if (start + at !== fileBytes) {
    throw fail(`${fileBytes - start} bytes of data where the tensors take ${at}`);
  }
  return { metadata, start, entries };
}

/** Of a header: a tensor's shape is an array in its object in the header's. */
const NESTING = { depth: 3, values: LIMITS.safetensors.values };

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseHeader(bytes: Uint8Array, fail: (why: string) => Error): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw fail("header does not start with {");
  const header = parseJson(bytes, (why) => fail(`header: ${why}`), {
    bytes: MAX_HEADER,
    ...NESTING,
  });
  if (!isObject(header)) throw fail("header is not an object");
  return header;
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((v) => Number.isSafeInteger(v) && v >= 0);
}

function parseEntry(
  key: string,
  value: unknown,
  dataBytes: number,
  fail: (why: string) => Error,
): Entry {
  if (!isObject(value)) throw fail(`tensor "${key}" is not described by an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string" || !Object.hasOwn(MAKERS, dtype)) {
    throw fail(`tensor "${key}" has dtype ${JSON.stringify(dtype)}, not one of ${ORDER.join(" ")}`);
  }
  if (!isSizes(shape) || shape.length > MAX_RANK) throw fail(`tensor "${key}" has a bad shape`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw fail(`tensor "${key}" has bad data_offsets`);
  }
  const count = shape.reduce((a, b) => a * b, 1), [begin, end] = offsets;
  const need = count * MAKERS[dtype as SafetensorsDtype].BYTES_PER_ELEMENT;
  if (need !== end - begin) {
    throw fail(
      `tensor "${key}" spans ${end - begin} bytes where ${dtype} [${shape}] takes ${need}`,
    );
  }
  if (end > dataBytes) {
    throw fail(`truncated: tensor "${key}" ends at ${end} of ${dataBytes} bytes of data`);
  }
  return { key, dtype: dtype as SafetensorsDtype, shape, begin, end };
}

/**
 * A safetensors file as one array, byte for byte as the safetensors library writes it.
 * @throws Error if a tensor's data do not fit its dtype and shape.
 *
 * @example
 * ```ts
 * import { encodeSafetensors } from "@lung-ddpm/webgpu";
 * const w = { dtype: "F32" as const, shape: [2], data: Float32Array.of(1, 2) };
 * encodeSafetensors([["w", w]], { format: "pt" }); // the bytes of a file
 * ```
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const parts = safetensorsParts(tensors, metadata);
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let to = 0;
  for (const part of parts) {
    out.set(part, to);
    to += part.length;
  }
  return out;
}

/**
 * The header and the tensors' own bytes, not copied: in this order, a safetensors file, byte for byte
 * as the safetensors library writes it: widest dtype first, then by name; metadata keys sorted.
 * @throws Error if a tensor's data do not fit its dtype and shape.
 */
export function safetensorsParts(
  tensors: Iterable<readonly [string, SafeTensor]>,
  metadata: Record<string, string> = {},
): Uint8Array[] {
  const sorted = [...tensors].sort(([a, x], [b, y]) =>
    ORDER.indexOf(y.dtype) - ORDER.indexOf(x.dtype) || (a < b ? -1 : a > b ? 1 : 0)
  );
  const fields: string[] = [];
  const keys = Object.keys(metadata).sort();
  if (keys.length > 0) {
    const pairs = keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`);
    fields.push(`"__metadata__":{${pairs.join(",")}}`);
  }
  const seen = new Set(["__metadata__"]);
  let at = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (!(data instanceof MAKERS[dtype]) || data.length !== count) {
      throw new Error(
        `Cannot encode "${name}": ${data.constructor.name} of ${data.length}, ` +
          `${dtype} [${shape}] takes ${MAKERS[dtype].name} of ${count}`,
      );
    }
    if (seen.has(name)) throw new Error(`Cannot encode "${name}": the name is taken`);
    seen.add(name);
    const end = at + data.byteLength;
    fields.push(
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [at, end] })}`,
    );
    at = end;
  }
  const json = new TextEncoder().encode(`{${fields.join(",")}}`);
  const headerLength = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + headerLength).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerLength), true);
  header.set(json, 8);
  const bytes = ({ data }: SafeTensor) =>
    new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return [header, ...sorted.map(([, tensor]) => bytes(tensor))];
}

/** The tensor's values as float32: the tensor's own array where it is F32, else a new one. */
export function toFloat32({ dtype, data }: SafeTensor): Float32Array {
  if (dtype === "F32") return data as Float32Array;
  if (dtype === "F16") {
    return new Float32Array(
      new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length),
    );
  }
  if (dtype === "BF16") return fromBfloat16(data as Uint16Array);
  const out = new Float32Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = Number(data[i]);
  return out;
}

/** bfloat16 is the upper half of a float32. */
export function fromBfloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i] << 16;
  return new Float32Array(bits.buffer);
}
