import assert from "node:assert/strict";
import { join } from "node:path";
import { InputError } from "../../lib/errors.ts";
import {
  encodeSafetensors,
  parseSafetensors,
  safetensorsParts,
  toFloat32,
} from "../../lib/io/safetensors.ts";
import { readSafetensors, writeSafetensors } from "../../lib/io/safetensors_file.ts";

const FIXTURE = join(import.meta.dirname!, "../fixtures/data/dtypes.safetensors");

/** A file with any header and `data` bytes after it. */
function file(header: unknown, data = 0, padding = ""): Uint8Array {
  const json = new TextEncoder().encode(
    (typeof header === "string" ? header : JSON.stringify(header)) + padding,
  );
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

Deno.test("safetensors: every dtype as the library writes it", async () => {
  const { metadata, tensors } = await readSafetensors(FIXTURE);
  assert.deepEqual(metadata, { kind: "fixture" });
  const values = [1.5, -2, 0.25, 65504, 0, -0];
  for (const name of ["f32", "f16", "f64"]) {
    assert.deepEqual([...toFloat32(tensors.get(name)!)], values, name);
  }
  // bfloat16 has 8 bits of mantissa: 65504 rounds to 65536.
  assert.deepEqual([...toFloat32(tensors.get("bf16")!)], values.with(3, 65536));
  assert.deepEqual(tensors.get("f64")!.shape, [2, 3]);
  assert.deepEqual(tensors.get("i32")!.data, Int32Array.of(-2, -1, 0, 1, 2, 3));
  assert.deepEqual(tensors.get("i64")!.data, BigInt64Array.of(0n, 1n, 2n));
  assert.deepEqual([...toFloat32(tensors.get("i64")!)], [0, 1, 2]);
  assert.deepEqual(tensors.get("u8")!.data, Uint8Array.of(0, 1, 2, 3, 4));
  assert.deepEqual(tensors.get("bool")!.data, Uint8Array.of(1, 0));
  assert.deepEqual(tensors.get('naïve "name"')!.shape, [0, 4]);
});

Deno.test("safetensors: written byte for byte as the library does", async () => {
  const bytes = await Deno.readFile(FIXTURE);
  const { metadata, tensors } = parseSafetensors(bytes, "fixture");
  const shuffled = [...tensors].reverse();
  assert.deepEqual(encodeSafetensors(shuffled, metadata), new Uint8Array(bytes));
});

Deno.test("safetensors: unaligned bytes and tensors read the same", () => {
  const bytes = Deno.readFileSync(FIXTURE);
  const moved = new Uint8Array(bytes.length + 1);
  moved.set(bytes, 1);
  const { tensors } = parseSafetensors(moved.subarray(1), "moved");
  assert.deepEqual(tensors.get("f64"), parseSafetensors(bytes, "as is").tensors.get("f64"));
  const odd = file({ a: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }, 4, " ");
  assert.equal(parseSafetensors(odd, "odd").tensors.get("a")!.data[0], 0);
});

Deno.test("safetensors: what is damaged or hostile is refused by name and reason", () => {
  const f32 = (begin: number, end: number, shape: unknown = [(end - begin) / 4]) => ({
    dtype: "F32",
    shape,
    data_offsets: [begin, end],
  });
  const huge = file("{}");
  new DataView(huge.buffer).setBigUint64(0, 2n ** 60n, true);
  const good = Deno.readFileSync(FIXTURE);
  const bad: [string, Uint8Array, RegExp][] = [
    ["short", new Uint8Array(7), /7 bytes, too short/],
    ["header length", huge, /header of 1152921504606846976 bytes/],
    ["truncated header", good.subarray(0, 60), /truncated: header/],
    ["truncated data", good.subarray(0, good.length - 1), /truncated: tensor "bool"/],
    ["not JSON", file("{nope}"), /not JSON/],
    ["array", file("[]"), /does not start with \{/],
    ["empty header", file(""), /does not start with \{/],
    ["not UTF-8", file("{}").with(9, 0xff), /not JSON/],
    ["gap", file({ a: f32(4, 8) }, 8), /gap or overlap/],
    ["overlap", file({ a: f32(0, 8), b: f32(4, 12) }, 12), /gap or overlap/],
    ["rest", file({ a: f32(0, 4) }, 5), /5 bytes of data where the tensors take 4/],
    ["backwards", file({ a: f32(8, 4, []) }, 8), /bad data_offsets/],
    ["size", file({ a: f32(0, 8, [3]) }, 8), /spans 8 bytes where F32 \[3\] takes 12/],
    ["overflow", file({ a: f32(0, 8, [2 ** 40, 2 ** 40, 2 ** 40]) }, 8), /spans 8 bytes/],
    ["negative", file({ a: f32(0, 4, [-1]) }, 4), /bad shape/],
    ["fraction", file({ a: f32(0, 4, [0.5]) }, 4), /bad shape/],
    ["dtype", file({ a: { ...f32(0, 4), dtype: "F8_E4M3" } }, 4), /dtype "F8_E4M3"/],
    ["inherited", file({ a: { ...f32(0, 4), dtype: "constructor" } }, 4), /dtype "constructor"/],
    ["no object", file({ a: 3 }), /not described by an object/],
    ["metadata", file({ __metadata__: { a: 1 } }), /metadata "a" is not a string/],
    ["metadata list", file({ __metadata__: [] }), /not an object/],
  ];
  for (const [what, bytes, reason] of bad) {
    assert.throws(() => parseSafetensors(bytes, "m.safetensors"), (error: Error) => {
      assert.ok(error instanceof InputError, `${what}: ${error.stack}`);
      assert.match(error.message, /^Cannot read "m\.safetensors": /, what);
      assert.match(error.message, reason, what);
      return true;
    });
  }
  const tensor = { dtype: "F32" as const, shape: [2], data: new Float32Array(3) };
  assert.throws(() => encodeSafetensors([["a", tensor]]), /Float32Array of 3/);
  assert.throws(() => encodeSafetensors([["a", { ...tensor, data: new Int32Array(2) }]]));
});

Deno.test("safetensors: names like __proto__ are only names", () => {
  const text = '{"__metadata__":{"__proto__":"x"},' +
    '"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
  const { metadata, tensors } = parseSafetensors(file(text, 1), "proto");
  assert.deepEqual([...tensors.keys()], ["__proto__"]);
  assert.equal(Object.hasOwn(metadata, "__proto__"), true);
});

Deno.test("safetensors: a tensor's bytes are handed out, not copied", () => {
  const data = Float32Array.of(9, 1, -2).subarray(1);
  const [, bytes] = safetensorsParts([["a", { dtype: "F32", shape: [2], data }]]);
  assert.deepEqual([bytes.buffer, bytes.byteOffset, bytes.byteLength], [data.buffer, 4, 8]);
});

Deno.test("safetensors: files round-trip", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = join(dir, "a.safetensors");
    const weight = { dtype: "F32" as const, shape: [2, 1], data: Float32Array.of(1, -2) };
    await writeSafetensors(path, new Map([["weight", weight]]));
    const { tensors, metadata } = await readSafetensors(path);
    assert.deepEqual([...tensors], [["weight", weight]]);
    assert.deepEqual(metadata, {});
    await assert.rejects(readSafetensors(join(dir, "none")), InputError);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
