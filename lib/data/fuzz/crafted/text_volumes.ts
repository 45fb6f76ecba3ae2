/** MetaImage and NRRD: headers of text that claim volumes. */

import { deflateSync } from "node:zlib";
import { type Content, type Crafted, deflateBomb, HOSTILE_TEXT, repeat } from "./crafted.ts";

const ZLIB = new Uint8Array([0x78, 0x01]);
const GZIP = new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
const GiB = 2 ** 30;

const mha = (size: string, type = "MET_SHORT", more = "", file = "LOCAL") =>
  `ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = ${size}\n${more}` +
  `ElementSpacing = 1 1 1\nElementType = ${type}\nElementDataFile = ${file}\n`;
const PACKED = "CompressedData = True\n";

export const MHA: readonly Crafted[] = [
  {
    name: "64³ that inflate to 4 GiB",
    file: "bomb.mha",
    content: () => [mha("64 64 64", "MET_SHORT", PACKED), ZLIB, ...deflateBomb(4096)],
  },
  {
    name: "512 MiB out of 500 kB, cut off",
    file: "empty.mha",
    content: () => [mha("512 512 1024", "MET_SHORT", PACKED), ZLIB, ...deflateBomb(256)],
  },
  {
    name: "4096³ voxels",
    file: "cube.mha",
    content: () => [mha("4096 4096 4096"), 2 ** 20],
  },
  {
    name: "sizes of 10^308",
    file: "sizes.mha",
    content: () => [mha("1e308 1e308 1e308"), 2 ** 20],
  },
  {
    name: "sizes below nothing",
    file: "negative.mha",
    content: () => [mha("-64 -64 64"), 2 ** 20],
  },
  {
    name: "voxels announced that are not there",
    file: "cut.mha",
    content: () => [mha("512 512 1024"), 1000],
  },
  { name: "8 GiB, sparse", file: "sparse.mha", content: () => [mha("64 64 64"), 8 * GiB] },
  {
    name: "a million lines",
    file: "lines.mha",
    content: () => [repeat("a = b\n", 1e6), mha("64 64 64")],
  },
  {
    name: "a line of 30 MB",
    file: "line.mha",
    content: () => ["ObjectType = ", repeat("x", 3e7)],
  },
  {
    name: "a hundred thousand numbers",
    file: "numbers.mha",
    content: () => [mha("1 ".repeat(3e4)), 100],
  },
  {
    name: "voxels in a file elsewhere",
    file: "elsewhere.mhd",
    content: () => [mha("64 64 64", "MET_SHORT", "", "../../../../etc/passwd")],
  },
  {
    name: "voxels in itself",
    file: "itself.mhd",
    content: () => [mha("64 64 64", "MET_SHORT", "HeaderSize = -1\n", "itself.mhd")],
  },
  {
    name: "a type that a terminal obeys",
    file: "escape.mha",
    content: () => [mha("64 64 64", HOSTILE_TEXT.replaceAll(/[\r\n]/g, "")), 100],
  },
];

const nrrd = (sizes: string, more = "encoding: raw\n", type = "short"): string =>
  `NRRD0004\ntype: ${type}\ndimension: 3\nspace: left-posterior-superior\nsizes: ${sizes}\n` +
  `space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\nendian: little\n${more}`;
const GZ = "encoding: gzip\n\n";

export const NRRD: readonly Crafted[] = [
  {
    name: "64³ that inflate to 4 GiB",
    file: "bomb.nrrd",
    content: () => [nrrd("64 64 64", GZ), GZIP, ...deflateBomb(4096)],
  },
  {
    name: "512 MiB out of 500 kB, cut off",
    file: "empty.nrrd",
    content: () => [nrrd("512 512 1024", GZ), GZIP, ...deflateBomb(256)],
  },
  {
    name: "4096³ voxels",
    file: "cube.nrrd",
    content: () => [nrrd("4096 4096 4096"), "\n", 2 ** 20],
  },
  {
    name: "sizes of 10^308",
    file: "sizes.nrrd",
    content: () => [nrrd("1e308 1e308 1e308"), "\n", 99],
  },
  {
    name: "voxels announced that are not there",
    file: "cut.nrrd",
    content: () => [nrrd("512 512 1024"), "\n", 1000],
  },
  { name: "8 GiB, sparse", file: "sparse.nrrd", content: () => [nrrd("64 64 64"), "\n", 8 * GiB] },
  {
    name: "a million comments",
    file: "lines.nrrd",
    content: () => ["NRRD0004\n", repeat("# x\n", 1e6)],
  },
  {
    name: "a line of 30 MB",
    file: "line.nrrd",
    content: () => ["NRRD0004\ntype: ", repeat("x", 3e7)],
  },
  {
    name: "thirty thousand brackets",
    file: "brackets.nrrd",
    content: () => [nrrd("64 64 64").replace("(0,0,1)", "(".repeat(6e4)), "\n", 99],
  },
  {
    name: "thirty thousand quotes for units",
    file: "units.nrrd",
    content: () => [nrrd("64 64 64", `space units: ${'"mm" '.repeat(1e4)}x\n`), "\n", 99],
  },
  {
    name: "voxels in a file elsewhere",
    file: "elsewhere.nhdr",
    content: () => [nrrd("64 64 64", "encoding: raw\ndata file: ../../../etc/passwd\n")],
  },
  {
    name: "a line that a terminal obeys",
    file: "escape.nrrd",
    content: () => ["NRRD0004\n", HOSTILE_TEXT],
  },
  {
    name: "zlib where gzip is said",
    file: "zlib.nrrd",
    content: (): Content => [nrrd("64 64 64", GZ), deflateSync(new Uint8Array(100))],
  },
];
