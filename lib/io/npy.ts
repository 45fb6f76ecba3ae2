/**
 * NumPy's `.npy` files, versions 1 to 3 (format: numpy/lib/format.py, NEP 1). Object arrays, which
 * are pickles and so programs, are refused; the header is matched against a pattern, never evaluated.
 */

import { InputError } from "../errors.ts";
import { LIMITS } from "./limits.ts";

/** What an array's elements are held in. */
export type NpyData =
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

/** An array in C order (last axis fastest), whatever order the file had. */
export interface NpyArray {
  /** As NumPy has it. */
  shape: number[];
  /** As the file says it, for example `<i2`. `<f2` is widened into a Float32Array. */
  dtype: string;
  /** Native byte order; `|b1` is a Uint8Array of 0 and 1. */
  data: NpyData;
}

const { header: MAX_HEADER, rank: MAX_RANK, bytes: MAX_BYTES } = LIMITS.npy;
/** As many bytes of a file as its header may take. */
export const HEAD_BYTES = 12 + MAX_HEADER;
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

type ArrayMaker = new (buffer: ArrayBuffer) => NpyData;
const MAKERS: Record<string, ArrayMaker> = {
  u1: Uint8Array,
  b1: Uint8Array,
  i1: Int8Array,
  u2: Uint16Array,
  i2: Int16Array,
  f2: Uint16Array,
  u4: Uint32Array,
  i4: Int32Array,
  f4: Float32Array,
  f8: Float64Array,
  i8: BigInt64Array,
  u8: BigUint64Array,
};

export interface NpyHeader {
  shape: number[];
  /** As the file says it, for example `<i2`. */
  dtype: string;
  fortranOrder: boolean;
  itemBytes: number;
  /** Where the data start, and how many bytes they are. */
  start: number;
  bytes: number;
}

/**
 * Parses a `.npy` file's bytes; the result shares no memory with them.
 * @param name the file's name, for messages.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 *
 * @example
 * ```ts
 * import { encodeNpy, parseNpy } from "@lung-ddpm/webgpu";
 * const file = encodeNpy([2, 1], Int16Array.of(-1000, 40));
 * parseNpy(file, "slice.npy").shape; // [2, 1]
 * ```
 */
export function parseNpy(bytes: Uint8Array, name: string): NpyArray {
  const header = parseNpyHeader(bytes, bytes.length, name);
  const buffer = new ArrayBuffer(header.bytes);
  new Uint8Array(buffer).set(bytes.subarray(header.start));
  return npyArray(header, buffer);
}

/**
 * The header, checked against the length of the file, before room is made for its array.
 * @param bytes the file's first {@link HEAD_BYTES}, or all of it.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export function parseNpyHeader(bytes: Uint8Array, fileBytes: number, name: string): NpyHeader {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw fail("not a .npy file (it does not start with \\x93NUMPY)");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  if (version < 1 || version > 3) throw fail(`.npy version ${version} is not one of 1, 2, 3`);
  const start = version === 1 ? 10 : 12;
  if (bytes.length < start) throw fail("truncated in the header");
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > MAX_HEADER) throw fail(`header of ${length} bytes, at most ${MAX_HEADER}`);
  if (start + length > bytes.length) throw fail("truncated in the header");
  const { descr, shape, fortranOrder } = parseHeader(
    new TextDecoder().decode(bytes.subarray(start, start + length)),
    fail,
  );
  const match = /^([<>|=])([a-z])(\d+)$/.exec(descr);
  if (!match || !MAKERS[match[2] + match[3]]) throw fail(`dtype '${descr}' is not supported`);
  const itemBytes = Number(match[3]);
  let count = 1;
  for (const size of shape) count *= size;
  const need = count * itemBytes, have = fileBytes - start - length;
  // Factors are below 2^53, so a product beyond the bound stays beyond it even after rounding.
  const held = need * ((fortranOrder ? 2 : 1) + (match[2] === "f" && itemBytes === 2 ? 2 : 0));
  if (held > MAX_BYTES) {
    const how = held === need ? "" : " while it is turned or widened";
    throw fail(`shape [${shape}] of ${descr} exceeds ${MAX_BYTES} bytes${how}`);
  }
  if (have !== need) {
    throw fail(
      `${have < need ? "truncated" : "too long"}: ${have} bytes of data where shape ` +
        `[${shape}] of ${descr} takes ${need}`,
    );
  }
  return { shape, dtype: descr, fortranOrder, itemBytes, start: start + length, bytes: need };
}

/** The array of a header and its data, which become part of it. */
export function npyArray(header: NpyHeader, buffer: ArrayBuffer): NpyArray {
  const { shape, dtype, itemBytes } = header, kind = dtype[1];
  const raw = new Uint8Array(buffer);
  if (dtype[0] === ">" && itemBytes > 1) reverseItems(raw, itemBytes);
  if (kind === "b") { for (let i = 0; i < raw.length; i++) raw[i] = raw[i] ? 1 : 0; }
  let data: NpyData = kind === "f" && itemBytes === 2
    ? new Float32Array(new Float16Array(buffer))
    : new MAKERS[kind + itemBytes](buffer);
  if (header.fortranOrder) data = toCOrder(data, shape);
  return { shape, dtype, data };
}

/** The three keys of the header's Python dictionary, in any order, and nothing else. */
function parseHeader(text: string, fail: (why: string) => Error) {
  const take = (pattern: RegExp, what: string) => {
    const match = pattern.exec(text);
    if (!match) throw fail(`header lacks a readable ${what}`);
    text = text.slice(0, match.index) + text.slice(match.index + match[0].length);
    return match[1];
  };
  if (/['"]descr['"]\s*:\s*\[/.test(text)) throw fail("structured dtypes are not supported");
  const descr = take(/['"]descr['"]\s*:\s*['"]([^'"]{1,16})['"]/, "'descr'");
  const order = take(/['"]fortran_order['"]\s*:\s*(True|False)/, "'fortran_order'");
  const dims = take(/['"]shape['"]\s*:\s*\(([0-9L, ]*)\)/, "'shape'");
  if (!/^\{[\s,]*\}\s*$/.test(text)) throw fail("header has unexpected content");
  const parts = dims.split(",").map((part) => part.trim());
  if (parts.at(-1) === "") parts.pop();
  const shape = parts.map((part) => {
    if (!/^\d{1,15}L?$/.test(part)) throw fail(`shape (${dims}) is not a tuple of sizes`);
    return Number(part.replace("L", ""));
  });
  if (shape.length > MAX_RANK) throw fail(`${shape.length} dimensions, at most ${MAX_RANK}`);
  return { descr, fortranOrder: order === "True", shape };
}

function reverseItems(raw: Uint8Array, itemSize: number) {
  for (let at = 0; at < raw.length; at += itemSize) {
    for (let i = at, j = at + itemSize - 1; i < j; i++, j--) [raw[i], raw[j]] = [raw[j], raw[i]];
  }
}

function toCOrder(data: NpyData, shape: number[]): NpyData {
  const out = data.slice() as NpyData;
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  const index = new Array(shape.length).fill(0);
  for (let to = 0, from = 0; to < data.length; to++) {
    out[to] = data[from];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++index[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
  return out;
}

function descrOf(data: NpyData): string {
  if (data instanceof Uint8Array) return "|u1";
  if (data instanceof Int8Array) return "|i1";
  const kind = data instanceof Float32Array || data instanceof Float64Array
    ? "f"
    : data instanceof Uint16Array || data instanceof Uint32Array || data instanceof BigUint64Array
    ? "u"
    : "i";
  return `<${kind}${data.BYTES_PER_ELEMENT}`;
}

/**
 * A version 1 `.npy` file, byte for byte as `numpy.save` writes it.
 * @throws Error if `data.length` is not the product of `shape`.
 *
 * @example
 * ```ts
 * import { encodeNpy } from "@lung-ddpm/webgpu";
 * encodeNpy([2, 1], Int16Array.of(-1000, 40)); // the bytes of a file
 * ```
 */
export function encodeNpy(shape: readonly number[], data: NpyData): Uint8Array<ArrayBuffer> {
  const count = shape.reduce((a, b) => a * b, 1);
  if (count !== data.length) {
    throw new Error(`Cannot encode .npy: ${data.length} values, shape [${shape}] takes ${count}`);
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const dict = `{'descr': '${descrOf(data)}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // NumPy leaves room to grow the leading axis in place up to 21 digits, then aligns to 64.
  const room = shape.length > 0 ? 21 - String(shape[0]).length : 0;
  const body = dict + " ".repeat(Math.max(0, room));
  const header = body + " ".repeat(63 - (10 + body.length) % 64) + "\n";
  const out = new Uint8Array(10 + header.length + data.byteLength);
  out.set(MAGIC);
  out[6] = 1;
  new DataView(out.buffer).setUint16(8, header.length, true);
  out.set(new TextEncoder().encode(header), 10);
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length);
  return out;
}
