/** `.npy` and NIfTI files that claim more than anyone has room for. */

import { gzipSync } from "node:zlib";
import { join } from "../../dicom_write/element.ts";
import { type Content, type Crafted, deflateBomb, HOSTILE_TEXT, text, u32 } from "./crafted.ts";

function npy(descr: string, shape: string, bytes: number, fortran = "False"): Content {
  const dict = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`;
  return [npyHead(2, dict.length), dict, bytes];
}

const npyHead = (version: number, length: number) =>
  join([text("\u0000NUMPY").with(0, 0x93), new Uint8Array([version, 0]), u32(length)]);

const GiB = 2 ** 30;

export const NPY: readonly Crafted[] = [
  {
    name: "6 GB, sparse",
    file: "huge.npy",
    content: () => npy("<f8", "(800, 1024, 1024)", 6 * GiB),
  },
  {
    name: "2 GiB, sparse",
    file: "large.npy",
    content: () => npy("|u1", "(2048, 1024, 1024)", 2 * GiB),
  },
  {
    name: "800 MiB of halves, to be widened",
    file: "halves.npy",
    content: () => npy("<f2", "(1600, 512, 512)", 800 * 2 ** 20),
  },
  {
    name: "800 MiB in Fortran's order",
    file: "fortran.npy",
    content: () => npy("<f4", "(800, 512, 512)", 800 * 2 ** 20, "True"),
  },
  {
    name: "a slice of 20,000²",
    file: "slice.plane.npy",
    content: () => npy("|u1", "(20000, 20000)", 4e8),
  },
  {
    name: "800 MiB of which one slice is wanted",
    file: "volume.plane.npy",
    content: () => npy("<f4", "(800, 512, 512)", 800 * 2 ** 20),
    mayBeRead: true,
  },
  {
    name: "a size that overflows",
    file: "overflow.npy",
    content: () => npy("<f8", "(999999999999999, 999999999999999)", 8),
  },
  {
    name: "10^15 rows of nothing",
    file: "rows.npy",
    content: () => npy("<f8", "(999999999999999, 0)", 8),
  },
  {
    name: "40 axes",
    file: "axes.npy",
    content: () => npy("<f8", `(${"1, ".repeat(40)})`, 8),
  },
  {
    name: "a header of 4 GiB",
    file: "header.npy",
    content: () => [npyHead(2, 2 ** 32 - 1), 2 ** 20],
  },
  {
    name: "a header of 64 kB of digits",
    file: "digits.npy",
    content: () => npy("<f8", `(${"9".repeat(60_000)},)`, 8),
  },
  {
    name: "a header of 64 kB of spaces",
    file: "spaces.npy",
    content: () => npy("<f8", `(${" ".repeat(60_000)}x)`, 8),
  },
  {
    name: "a type that a terminal obeys",
    file: "escape.npy",
    content: () => npy("\x1b[31m\x1b[2J", "(1,)", 8),
  },
  {
    name: "structured types, nested",
    file: "nested.npy",
    content: () => [
      npyHead(2, 60_000),
      "{'descr': " + "[".repeat(59_000),
      2000,
    ],
  },
];

/** A NIfTI-1 header with an affine of 1 mm. */
function nifti(dims: readonly number[], code: number, bits: number, offset = 352): Uint8Array {
  const out = new Uint8Array(352), view = new DataView(out.buffer);
  view.setInt32(0, 348, true);
  [dims.length, ...dims, 1, 1, 1, 1].slice(0, 8).forEach((v, i) =>
    view.setInt16(40 + 2 * i, v, true)
  );
  view.setInt16(70, code, true);
  view.setInt16(72, bits, true);
  for (let i = 0; i < 8; i++) view.setFloat32(76 + 4 * i, 1, true);
  view.setFloat32(108, offset, true);
  view.setFloat32(112, 1, true);
  view.setInt16(254, 1, true);
  for (const at of [280, 300, 320]) view.setFloat32(at, 1, true);
  out.set(text("n+1"), 344);
  return out;
}

const GZIP = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
/** Bytes as a stored block of deflate. */
const stored = (bytes: Uint8Array) =>
  join([new Uint8Array([0]), u32(bytes.length | (~bytes.length << 16)), bytes]);
const bomb = (header: Uint8Array, mebibytes: number): Content => [
  GZIP,
  stored(header),
  ...deflateBomb(mebibytes),
];

export const NIFTI: readonly Crafted[] = [
  {
    name: "64³ that inflate to 4 GiB",
    file: "bomb.nii.gz",
    content: () => bomb(nifti([64, 64, 64], 4, 16), 4096),
  },
  {
    name: "4096³ voxels",
    file: "cube.nii.gz",
    content: () => bomb(nifti([4096, 4096, 4096], 4, 16), 4096),
  },
  {
    name: "1024 slices of 512² out of 260 kB, cut off",
    file: "empty.nii.gz",
    content: () => bomb(nifti([512, 512, 1024], 2, 8), 256),
  },
  {
    name: "1 GiB of float32 out of 1 MB",
    file: "float.nii.gz",
    content: () => bomb(nifti([512, 512, 1024], 16, 32), 1024),
  },
  {
    name: "1 GiB of float64, sparse",
    file: "double.nii",
    content: () => [nifti([512, 512, 512], 64, 64), GiB],
    mayBeRead: true,
  },
  {
    name: "2 GiB of float64, sparse",
    file: "doubles.nii",
    content: () => [nifti([512, 512, 1024], 64, 64), 2 * GiB],
  },
  {
    name: "voxels announced that are not there",
    file: "cut.nii",
    content: () => [nifti([512, 512, 1024], 4, 16), 1000],
  },
  {
    name: "voxels that start at 10^12",
    file: "offset.nii",
    content: () => [nifti([64, 64, 64], 4, 16, 1e12), 2 ** 20],
  },
  {
    name: "voxels that start nowhere",
    file: "nan.nii",
    content: () => [nifti([64, 64, 64], 4, 16, NaN), 2 ** 20],
  },
  {
    name: "sizes below nothing",
    file: "negative.nii",
    content: () => [nifti([-512, -512, 800], 4, 16), 2 ** 20],
  },
  {
    name: "seven axes of 32767",
    file: "axes.nii",
    content: () => [nifti(Array(7).fill(32767), 64, 64), 2 ** 20],
  },
  {
    name: "a million empty gzip members",
    file: "members.nii.gz",
    content: () => {
      const one = gzipSync(new Uint8Array(0)), out = new Uint8Array(1_000_000 * one.length);
      for (let i = 0; i < out.length; i += one.length) out.set(one, i);
      return [out];
    },
  },
  {
    name: "3 GiB behind the voxels",
    file: "behind.nii",
    content: () => [nifti([64, 64, 64], 4, 16), 2 * 64 ** 3 + 3 * GiB],
  },
  {
    name: "a gzip header with an endless name",
    file: "name.nii.gz",
    content: () => [GZIP.with(3, 8), text(HOSTILE_TEXT.repeat(1e6))],
  },
];

/** Analyze 7.5's header: NIfTI's without its magic and its affine. */
function analyze(dims: readonly number[], code: number, bits: number): Uint8Array {
  const out = nifti(dims, code, bits).slice(0, 348);
  out.fill(0, 108, 124).fill(0, 252);
  return out;
}

const pair = (
  name: string,
  file: string,
  header: () => Uint8Array | Content,
  voxels: () => Content,
  mayBeRead = false,
): Crafted => ({
  name,
  file,
  content() {
    const made = header();
    return made instanceof Uint8Array ? [made] : made;
  },
  beside: { ending: ".img", content: voxels },
  mayBeRead,
});

export const ANALYZE: readonly Crafted[] = [
  pair(
    "Analyze: 32767³",
    "cube.hdr",
    () => analyze([32767, 32767, 32767], 4, 16),
    () => [3 * GiB],
  ),
  pair(
    "Analyze: 2 GiB of float64, sparse",
    "doubles.hdr",
    () => analyze([512, 512, 1024], 64, 64),
    () => [2 * GiB],
  ),
  pair(
    "Analyze: voxels announced that are not there",
    "cut.hdr",
    () => analyze([512, 512, 1024], 4, 16),
    () => [1000],
  ),
  pair(
    "Analyze: 3 GiB behind the voxels",
    "behind.hdr",
    () => analyze([64, 64, 64], 4, 16),
    () => [3 * GiB],
  ),
  pair("Analyze: a header of 3 GiB", "large.hdr", () => [3 * GiB], () => [8]),
  pair("Analyze: an empty header", "empty.hdr", () => new Uint8Array(0), () => [8]),
  pair(
    "Analyze: a header cut short",
    "short.hdr",
    () => analyze([64, 64, 64], 4, 16).subarray(0, 200),
    () => [2 * 64 ** 3],
  ),
  pair(
    "Analyze: sizes below nothing",
    "negative.hdr",
    () => analyze([-64, -64, 64], 4, 16),
    () => [2 * 64 ** 3],
  ),
  pair(
    "Analyze: seven axes",
    "axes.hdr",
    () => analyze(Array(7).fill(32767), 4, 16),
    () => [2 * 64 ** 3],
  ),
  pair(
    "Analyze: voxels of a type that is none",
    "type.hdr",
    () => analyze([64, 64, 64], 32767, 16),
    () => [2 * 64 ** 3],
  ),
  pair(
    "Analyze: an orientation that is not read",
    "orient.hdr",
    () => analyze([64, 64, 64], 4, 16).with(252, 5),
    () => [2 * 64 ** 3],
  ),
  pair(
    "Analyze: voxels that inflate to 4 GiB",
    "bomb.hdr",
    () => analyze([64, 64, 64], 4, 16),
    () => [GZIP, ...deflateBomb(4096)],
  ),
  pair(
    "NIfTI pair: voxels that start at 10^12",
    "offset.hdr",
    () => nifti([64, 64, 64], 4, 16, 1e12).slice(0, 348).with(345, 0x69),
    () => [2 * 64 ** 3],
  ),
];
