import assert from "node:assert/strict";
import { join } from "node:path";
import { InputError } from "../../lib/errors.ts";
import { encodeNpy, type NpyData, parseNpy } from "../../lib/io/npy.ts";
import { readNpy, writeNpy } from "../../lib/io/npy_file.ts";

const FIXTURES = join(import.meta.dirname!, "../fixtures/data");
const read = (name: string) => Deno.readFileSync(join(FIXTURES, `${name}.npy`));
const ramp = (from: number) => Array.from({ length: 24 }, (_, i) => i + from);

/** Bytes of a version 1 file with any header. */
function withHeader(header: string, data = new Uint8Array(4), length = header.length) {
  const bytes = new Uint8Array(10 + header.length + data.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, length & 255, length >> 8]);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(data, 10 + header.length);
  return bytes;
}

Deno.test("npy: every dtype, byte order and version that NumPy writes", () => {
  for (const name of ["u1", "u2", "u4"]) {
    assert.deepEqual([...parseNpy(read(name), name).data], ramp(0), name);
  }
  const signed = "i1 i2 i2_big i4 f2 f4 f8 f8_big version2 version3 fortran i8";
  for (const name of signed.split(" ")) {
    const { shape, data } = parseNpy(read(name), name);
    assert.deepEqual(shape, [2, 3, 4], name);
    assert.deepEqual([...data].map(Number), ramp(-5), name);
  }
  assert.deepEqual([...parseNpy(read("b1"), "b1").data], ramp(0).map((i) => i % 3 === 0 ? 1 : 0));
  assert.deepEqual(parseNpy(read("scalar"), "scalar").shape, []);
  assert.equal(parseNpy(read("scalar"), "scalar").data[0], 1.5);
  assert.deepEqual(parseNpy(read("empty"), "empty").shape, [0, 3]);
});

Deno.test("npy: written byte for byte as numpy.save does", () => {
  const values = ramp(-5);
  const made: [string, number[], NpyData][] = [
    ["u1", [2, 3, 4], Uint8Array.from(ramp(0))],
    ["u2", [2, 3, 4], Uint16Array.from(ramp(0))],
    ["i2", [2, 3, 4], Int16Array.from(values)],
    ["f4", [2, 3, 4], Float32Array.from(values)],
    ["f8", [2, 3, 4], Float64Array.from(values)],
    ["i8", [2, 3, 4], BigInt64Array.from(values.map(BigInt))],
    ["scalar", [], Float32Array.of(1.5)],
    ["empty", [0, 3], new Float32Array(0)],
  ];
  for (const [name, shape, data] of made) {
    assert.deepEqual(encodeNpy(shape, data), read(name), name);
  }
  assert.throws(() => encodeNpy([5], new Float32Array(4)), /4 values, shape \[5\] takes 5/);
});

Deno.test("npy: what is damaged or hostile is refused by name and reason", () => {
  const good = read("i2");
  const header = (shape: string, descr = "'<f4'") =>
    `{'descr': ${descr}, 'fortran_order': False, 'shape': ${shape}, }\n`;
  const bad: [string, Uint8Array, RegExp][] = [
    ["empty file", new Uint8Array(0), /not a \.npy file/],
    ["another format", new TextEncoder().encode("PK\x03\x04 something else"), /not a \.npy/],
    ["truncated header", good.subarray(0, 40), /truncated in the header/],
    ["truncated data", good.subarray(0, good.length - 1), /truncated: 47 bytes/],
    ["trailing bytes", withHeader(header("(1,)"), new Uint8Array(5)), /too long/],
    ["version", good.with(6, 9), /version 9/],
    ["object dtype", read("object"), /dtype '\|O' is not supported/],
    ["structured", read("structured"), /structured/],
    ["huge shape", withHeader(header("(999999999999999, 999999999999999)")), /exceeds/],
    ["huge and zero", withHeader(header("(99999, 99999, 0)")), /too long/],
    ["negative", withHeader(header("(-1,)")), /shape/],
    ["shape of names", withHeader(header("(__import__('os'),)")), /shape/],
    ["no tuple", withHeader(header("(1 2)")), /tuple/],
    [
      "extra",
      withHeader(`{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}`),
      /unex/,
    ],
    ["no descr", withHeader("{'fortran_order': False, 'shape': (1,)}"), /'descr'/],
    ["complex", withHeader(header("(1,)", "'<c8'")), /dtype '<c8'/],
    ["rank", withHeader(header(`(${"1,".repeat(33)})`)), /33 dimensions/],
    ["header length", withHeader(header("(1,)"), new Uint8Array(4), 60000), /truncated/],
  ];
  for (const [what, bytes, reason] of bad) {
    assert.throws(() => parseNpy(bytes, "some/file.npy"), (error: Error) => {
      assert.ok(error instanceof InputError, `${what}: ${error.stack}`);
      assert.match(error.message, /^Cannot read "some\/file\.npy": /, what);
      assert.match(error.message, reason, what);
      return true;
    });
  }
});

Deno.test("npy: any single damaged byte reads or is refused, never crashes", () => {
  const good = read("i2");
  for (let at = 0; at < good.length; at++) {
    for (const value of [0, 0x27, 0x39, 0xff]) {
      try {
        parseNpy(good.with(at, value), "x");
      } catch (error) {
        assert.ok(error instanceof InputError, String(error));
      }
    }
  }
});

Deno.test("npy: files are written whole and missing ones named", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = join(dir, "deep/er/a.npy");
    await writeNpy(path, [2, 2], Int16Array.of(1, -2, 3, -4));
    assert.deepEqual((await readNpy(path)).data, Int16Array.of(1, -2, 3, -4));
    await assert.rejects(readNpy(join(dir, "none.npy")), { name: "InputError", message: /none/ });
    await assert.rejects(readNpy(dir), { name: "InputError", message: /folder/ });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
