/** Every format of volumes, against what SimpleITK and nibabel read from the same files. */

import assert from "node:assert/strict";
import { deflateSync, gzipSync } from "node:zlib";
import { parseMetaImage } from "../../lib/data/metaimage.ts";
import { parsePair } from "../../lib/data/nifti.ts";
import { parseNrrd } from "../../lib/data/nrrd.ts";
import { readVolume, VOLUME_ENDING } from "../../lib/data/volume.ts";
import { bytesSource } from "../../lib/data/volume_source.ts";
import { InputError } from "../../lib/errors.ts";
import { readNpy } from "../../lib/io/npy_file.ts";
import { FIXTURES } from "./shared_ct.ts";
import { newFolder } from "./ct_maker.ts";

const folder = `${FIXTURES}/volumes`;
const geometry: Record<string, { axes: number[][]; origin: number[] }> = JSON.parse(
  Deno.readTextFileSync(`${folder}/geometry.json`),
);
const close = (got: number[], wanted: number[], name: string) =>
  got.forEach((v, i) => assert.ok(Math.abs(v - wanted[i]) < 1e-5, `${name}: ${got} ≠ ${wanted}`));

for (const [name, { axes, origin }] of Object.entries(geometry)) {
  Deno.test(`${name}: values and place as ${name === "analyze.hdr" ? "nibabel" : "SimpleITK"} has them`, async () => {
    const wanted = await readNpy(`${folder}/volume.npy`);
    const got = await readVolume(`${folder}/${name}`, "stored");
    assert.deepEqual(got.size.toReversed(), wanted.shape);
    assert.deepEqual(got.values, wanted.data);
    got.axes.forEach((axis, n) => close(axis, axes[n], `axis ${n}`));
    close(got.origin, origin, "origin");
    const unplaced = name === "analyze.hdr" || name === "unplaced.nrrd";
    assert.equal(got.notes.length, unplaced ? 1 : 0, `${got.notes}`);
  });
}

Deno.test("a volume is turned axial whatever its axes were", async () => {
  const plain = await readVolume(`${folder}/tilted.nrrd`);
  for (const name of ["permuted.mha", "permuted.nhdr"]) {
    const turned = await readVolume(`${folder}/${name}`);
    // Stored axis 0 runs to the front, 1 to the head, 2 to the left.
    assert.deepEqual(turned.size, [4, 6, 5]);
    const at = (v: typeof plain, x: number, y: number, z: number) =>
      v.values[(z * v.size[1] + y) * v.size[0] + x];
    for (let z = 0; z < 5; z++) {
      for (let y = 0; y < 6; y++) {
        for (let x = 0; x < 4; x++) {
          assert.equal(at(turned, x, y, z), at(plain, 5 - y, z, x));
        }
      }
    }
  }
});

Deno.test("every volume of the fixtures is tested", () => {
  const files = [...Deno.readDirSync(folder)].map((e) => e.name).filter((n) =>
    VOLUME_ENDING.test(n)
  );
  assert.deepEqual(files.sort(), Object.keys(geometry).sort());
});

const mha = (change: Record<string, string>, data: Uint8Array) => {
  const fields: Record<string, string> = {
    ObjectType: "Image",
    NDims: "3",
    DimSize: "2 2 2",
    ElementType: "MET_UCHAR",
    ElementSpacing: "1 1 1",
    TransformMatrix: "1 0 0 0 1 0 0 0 1",
    ...change,
    ElementDataFile: change.ElementDataFile ?? "LOCAL",
  };
  const text = Object.entries(fields).map(([k, v]) => `${k} = ${v}\n`).join("");
  return new Uint8Array([...new TextEncoder().encode(text), ...data]);
};
const eight = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);

const refusedMeta: [string, Record<string, string>, Uint8Array, RegExp][] = [
  ["short", {}, eight.subarray(1), /truncated: 2 × 2 × 2 voxels of 1 bytes are 8 bytes, .* has 7/],
  ["long", {}, new Uint8Array(11), /are 8 bytes, .* has 11/],
  ["four axes", { NDims: "4", DimSize: "2 2 2 1" }, eight, /NDims is 4/],
  ["channels", { ElementNumberOfChannels: "3" }, eight, /3 channels/],
  ["text", { BinaryData: "False" }, eight, /BinaryData/],
  ["another type", { ElementType: "MET_LONG_LONG" }, eight, /MET_LONG_LONG/],
  ["huge", { DimSize: "4096 4096 4096" }, eight, /voxels, at most/],
  ["negative", { DimSize: "-2 2 2" }, eight, /dimensions/],
  ["not numbers", { DimSize: "2 0x2 2" }, eight, /DimSize must be 3 numbers/],
  ["no spacing", { ElementSpacing: "0 1 1" }, eight, /mm/],
  ["out of the folder", { ElementDataFile: "../secret.raw" }, eight, /folder of the header/],
  ["absolute", { ElementDataFile: "/etc/passwd" }, eight, /folder of the header/],
  ["a file a slice", { ElementDataFile: "slice%03d.raw 1 8 1" }, eight, /\.mha/],
  ["list", { ElementDataFile: "LIST" }, eight, /\.mha/],
  ["rescaled", { ElementToIntensityFunctionSlope: "2" }, eight, /intensity function/],
  ["bomb", { CompressedData: "True" }, deflateSync(new Uint8Array(2 ** 24)), /inflates to more/],
  [
    "cut stream",
    { CompressedData: "True" },
    deflateSync(eight).subarray(0, 6),
    /truncated|damaged/,
  ],
  ["mesh", { ObjectType: "Mesh" }, eight, /Mesh/],
];
for (const [name, change, data, why] of refusedMeta) {
  Deno.test(`MetaImage, ${name}: refused with file and reason`, async () => {
    await assert.rejects(
      () => parseMetaImage(bytesSource(mha(change, data), "x.mha")),
      (error: Error) =>
        error instanceof InputError && error.message.includes("x.mha") && why.test(error.message),
    );
  });
}

const nrrd = (lines: string[], data: Uint8Array) =>
  new Uint8Array([...new TextEncoder().encode(lines.join("\n") + "\n\n"), ...data]);
const NRRD = [
  "NRRD0004",
  "type: uchar",
  "dimension: 3",
  "sizes: 2 2 2",
  "encoding: raw",
  "space: LPS",
  "space directions: (1,0,0) (0,1,0) (0,0,1)",
  "space origin: (0,0,0)",
];
const changed = (key: string, line: string) =>
  NRRD.map((l) => l.startsWith(`${key}:`) ? line : l).filter((l) => l !== "");
const refusedNrrd: [string, string[], Uint8Array, RegExp][] = [
  ["short", NRRD, eight.subarray(1), /truncated/],
  ["long", NRRD, new Uint8Array(11), /are 8 bytes, .* has 11/],
  ["layers of a segmentation", changed("dimension", "dimension: 4"), eight, /labelmap/],
  ["a vector axis", [...NRRD, "kinds: vector domain domain"], eight, /kind vector/],
  [
    "an axis that is none of space",
    changed("space directions", "space directions: none (1,0,0) (0,1,0)"),
    eight,
    /none/,
  ],
  ["another space", changed("space", "space: scanner-xyz"), eight, /scanner-xyz/],
  ["directions without a space", changed("space", "space dimension: 3"), eight, /not known/],
  ["text", changed("encoding", "encoding: ascii"), eight, /ascii/],
  ["bzip2", changed("encoding", "encoding: bzip2"), eight, /bzip2.*gzip/],
  ["no endian", changed("type", "type: short"), new Uint8Array(16), /endian/],
  ["twice", [...NRRD, "type: short"], eight, /twice/],
  ["metres", [...NRRD, 'space units: "m" "m" "m"'], eight, /"m"/],
  ["out of the folder", [...NRRD, "data file: ../secret.raw"], eight, /folder of the header/],
  ["list", [...NRRD, "data file: LIST"], eight, /\.nrrd/],
  [
    "bomb",
    changed("encoding", "encoding: gzip"),
    gzipSync(new Uint8Array(2 ** 24)),
    /inflates to more/,
  ],
  ["lines without end", [...NRRD, ...Array(2000).fill("# x")], eight, /1024 lines/],
];
for (const [name, lines, data, why] of refusedNrrd) {
  Deno.test(`NRRD, ${name}: refused with file and reason`, async () => {
    await assert.rejects(
      () => parseNrrd(bytesSource(nrrd(lines, data), "x.nrrd")),
      (error: Error) =>
        error instanceof InputError && error.message.includes("x.nrrd") && why.test(error.message),
    );
  });
}

Deno.test("raw voxels that begin as gzip does are taken as they are", async () => {
  const data = new Uint8Array([0x1f, 0x8b, 8, 0, 5, 6, 7, 8]);
  const got = await parseMetaImage(bytesSource(mha({}, data), "x.mha"), "stored");
  assert.deepEqual([...got.values], [...data]);
});

Deno.test("a pair without its .img is refused; Analyze that is not transverse as well", async () => {
  const out = newFolder();
  Deno.copyFileSync(`${folder}/pair.hdr`, `${out}/a.hdr`);
  await assert.rejects(() => readVolume(`${out}/a.hdr`), /a\.img", are missing/);
  const bytes = Deno.readFileSync(`${folder}/analyze.hdr`);
  bytes[252] = 1;
  await assert.rejects(
    () => parsePair(bytes, [new Uint8Array(240)], "b.hdr"),
    /b\.hdr.*orient is 1/,
  );
});

Deno.test("NRRD: short names of spaces are the long ones", async () => {
  const long = Deno.readFileSync(`${folder}/ras.nrrd`);
  const text = new TextDecoder("latin1").decode(long.subarray(0, 200));
  const at = text.indexOf("right-anterior-superior");
  const short = new Uint8Array([
    ...long.subarray(0, at),
    ...new TextEncoder().encode("RAS"),
    ...long.subarray(at + "right-anterior-superior".length),
  ]);
  const [a, b] = await Promise.all([long, short].map((data) => parseNrrd(bytesSource(data, "x"))));
  assert.deepEqual(b, a);
});
