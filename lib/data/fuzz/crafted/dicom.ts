/** DICOM files of millions of elements, bombs, and slices with nothing in them. */

import { deflateRawSync } from "node:zlib";
import { encodeCtFile } from "../../dicom_write/ct_file.ts";
import { type Element, encodeElements, join } from "../../dicom_write/element.ts";
import { type Content, type Crafted, deflateBomb, HOSTILE_TEXT, repeat, text } from "./crafted.ts";

export const EXPLICIT = "1.2.840.10008.1.2.1";
const IMPLICIT = "1.2.840.10008.1.2";
const DEFLATED = "1.2.840.10008.1.2.1.99";

export function head(syntax: string): Uint8Array {
  const preamble = new Uint8Array(132);
  preamble.set(text("DICM"), 128);
  const meta = encodeElements([[0x00020010, "UI", syntax]]);
  return join([preamble, encodeElements([[0x00020000, "UL", meta.length]]), meta]);
}

/** An element's or item's first bytes. */
export function start(group: number, element: number, vr: string, length: number): Uint8Array {
  const isLong = /^(OB|OW|SQ|UN)$/.test(vr), out = new Uint8Array(isLong ? 12 : 8);
  const view = new DataView(out.buffer);
  view.setUint16(0, group, true);
  view.setUint16(2, element, true);
  out.set(text(vr), 4);
  if (isLong) view.setUint32(8, length, true);
  else if (vr === "") view.setUint32(4, length, true);
  else view.setUint16(6, length, true);
  return out;
}

export const UNDEFINED = 2 ** 32 - 1;
export const ITEM = start(0xfffe, 0xe000, "", 0);
const OPEN_ITEM = start(0xfffe, 0xe000, "", UNDEFINED);
const END = start(0xfffe, 0xe0dd, "", 0);

export function times(count: number, one: Uint8Array): Uint8Array {
  const out = new Uint8Array(count * one.length);
  for (let i = 0; i < count; i++) out.set(one, i * one.length);
  return out;
}

/** A slice's bytes without its pixels, whose element announces `length` of them. */
function slice(
  rows: number,
  columns: number,
  z: number,
  changes: readonly Element[] = [],
): { before: Uint8Array; length: number } {
  const uid = (n: number) => `2.25.${1000 + n}`;
  const bytes = encodeCtFile({
    patientId: "P",
    studyUid: uid(1),
    seriesUid: uid(2),
    frameOfReferenceUid: uid(3),
    sopInstance: uid(10 + z),
    instanceNumber: z + 1,
    rows,
    columns,
    position: [0, 0, z],
    pixelSpacing: [0.7, 0.7],
    sliceThickness: 1,
    pixels: new Int16Array(0),
    intercept: 0,
    changes: new Map(changes.map((element) => [element[0], element])),
  });
  const length = rows * columns * 2, before = bytes.slice();
  new DataView(before.buffer).setUint32(before.length - 4, length, true);
  return { before, length };
}

const sparseSlice = (rows: number, columns: number, z: number): Content => {
  const { before, length } = slice(rows, columns, z);
  return [before, length];
};

/** A slice whose pixels are coded: one fragment. */
function coded(syntax: string, rows: number, columns: number, code: Uint8Array): Content {
  const { before } = slice(rows, columns, 0, [[0x00020010, "UI", syntax]]);
  new DataView(before.buffer).setUint32(before.length - 4, UNDEFINED, true);
  const even = code.length % 2 ? join([code, new Uint8Array(1)]) : code;
  return [before, ITEM, start(0xfffe, 0xe000, "", even.length), even, END];
}

const segment = (marker: number, data: Uint8Array) =>
  join([new Uint8Array([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]), data]);
const frame = (marker: number, side: number, bits: number) =>
  segment(
    marker,
    new Uint8Array([bits, side >> 8, side & 255, side >> 8, side & 255, 1, 1, 17, 0]),
  );
const JPEG = new Uint8Array([0xff, 0xd8]);

/** SIZ and COD of a JPEG 2000 codestream of one tile, then nothing. */
function jpeg2000(side: number, layers: number, block: number, precinct: number): Uint8Array {
  const siz = new Uint8Array(39), view = new DataView(siz.buffer);
  for (const [at, value] of [[2, side], [6, side], [18, side], [22, side]]) {
    view.setUint32(at, value);
  }
  view.setUint16(34, 1);
  siz.set([15, 1, 1], 36);
  const cod = new Uint8Array([1, 0, layers >> 8, layers & 255, 0, 5, block, block, 0, 1]);
  const precincts = new Uint8Array(6).fill(precinct);
  const tile = new Uint8Array([0, 0, 0, 0, 0, 14, 0, 1]);
  return join([
    new Uint8Array([0xff, 0x4f]),
    segment(0x51, siz),
    segment(0x52, join([cod, precincts])),
    segment(0x5c, new Uint8Array([0x40, ...Array(16).fill(0x40)])),
    segment(0x90, tile),
    new Uint8Array([0xff, 0x93, 0xff, 0xd9]),
  ]);
}

export const DICOM: readonly Crafted[] = [
  {
    name: "three million elements",
    file: "elements.dcm",
    content: () => [head(EXPLICIT), times(3_000_000, start(0x0009, 0x1000, "LO", 0))],
  },
  {
    name: "three million elements, implicit",
    file: "implicit.dcm",
    content: () => [head(IMPLICIT), times(3_000_000, start(0x0009, 0x1000, "", 0))],
  },
  {
    name: "two million elements in the meta group",
    file: "meta.dcm",
    content: () => [head(EXPLICIT), times(2_000_000, start(0x0002, 0x0013, "SH", 0))],
  },
  {
    name: "three million items of a sequence",
    file: "items.dcm",
    content: () => [
      head(EXPLICIT),
      start(0x0008, 0x2112, "SQ", UNDEFINED),
      times(3_000_000, ITEM),
    ],
  },
  {
    name: "sequences nested a million deep",
    file: "nested.dcm",
    content: () => [
      head(EXPLICIT),
      times(1_000_000, join([start(0x0008, 0x2112, "SQ", UNDEFINED), OPEN_ITEM])),
    ],
  },
  {
    name: "a data set that inflates to 4 GiB",
    file: "deflated.dcm",
    content: () => [head(DEFLATED), ...deflateBomb(4096)],
  },
  {
    name: "millions of elements out of 100 kB of deflate",
    file: "deflated_elements.dcm",
    content: () => [
      head(DEFLATED),
      deflateRawSync(times(8_000_000, start(0x0009, 0x1000, "LO", 0)), { level: 1 }),
    ],
  },
  {
    name: "an element of undefined length and no end, 200 MB",
    file: "endless.dcm",
    content: () => [head(EXPLICIT), start(0x0009, 0x1000, "OB", UNDEFINED), 200_000_000],
    mayBeRead: true, // as far as a header goes: no CT image
  },
  {
    name: "a UID of 60 kB",
    file: "uid.dcm",
    content: () => [
      head(EXPLICIT),
      start(0x0008, 0x0016, "UI", 60_000),
      repeat("1.", 30_000),
    ],
  },
  {
    name: "text that a terminal obeys",
    file: "escape.dcm",
    content: () => {
      const { before, length } = slice(64, 64, 0, [
        [0x00080008, "CS", `DERIVED\\SECONDARY\\${HOSTILE_TEXT}`],
        [0x00080060, "CS", HOSTILE_TEXT],
      ]);
      return [before, length];
    },
    mayBeRead: true, // and rejected, with the text in the reason
  },
  {
    name: "64 sparse slices of 4096²",
    file: "sparse.series",
    content: () => Array.from({ length: 64 }, (_, z) => sparseSlice(4096, 4096, z)),
  },
  {
    name: "900 sparse slices of 512²",
    file: "many.series",
    content: () => Array.from({ length: 900 }, (_, z) => sparseSlice(512, 512, z)),
  },
  {
    name: "lossless JPEG with two million empty Huffman tables",
    file: "tables.dcm",
    content: () =>
      coded(
        "1.2.840.10008.1.2.4.70",
        64,
        64,
        join([JPEG, times(600, segment(0xc4, new Uint8Array(17 * 3800)))]),
      ),
  },
  {
    name: "progressive JPEG of 4096² with 200,000 empty scans",
    file: "scans.dcm",
    content: () => {
      const scan = segment(0xda, new Uint8Array([1, 1, 0, 0, 0, 0]));
      const tables = [
        segment(0xdb, new Uint8Array([0, ...Array(64).fill(1)])),
        segment(0xc4, new Uint8Array([0, 1, ...Array(15).fill(0), 0])),
      ];
      const code = join([JPEG, ...tables, frame(0xc2, 4096, 8), times(200_000, scan)]);
      return coded("1.2.840.10008.1.2.4.50", 4096, 4096, code);
    },
  },
  {
    name: "progressive JPEG of 4096² with ten empty scans",
    file: "few_scans.dcm",
    content: () => {
      const scan = segment(0xda, new Uint8Array([1, 1, 0, 0, 0, 0]));
      const tables = [
        segment(0xdb, new Uint8Array([0, ...Array(64).fill(1)])),
        segment(0xc4, new Uint8Array([0, 1, ...Array(15).fill(0), 0])),
      ];
      const code = join([JPEG, ...tables, frame(0xc2, 4096, 8), times(10, scan)]);
      return coded("1.2.840.10008.1.2.4.50", 4096, 4096, code);
    },
    mayBeRead: true,
  },
  {
    name: "JPEG 2000 with precincts of one pixel",
    file: "precincts.dcm",
    content: () => coded("1.2.840.10008.1.2.4.90", 4096, 4096, jpeg2000(4096, 1, 0, 0)),
  },
  {
    name: "JPEG 2000 with code-blocks of 4×4",
    file: "blocks.dcm",
    content: () => coded("1.2.840.10008.1.2.4.90", 4096, 4096, jpeg2000(4096, 1, 0, 0x77)),
  },
  {
    name: "JPEG 2000 of 256 layers",
    file: "packets.dcm",
    content: () => coded("1.2.840.10008.1.2.4.90", 4096, 4096, jpeg2000(4096, 256, 4, 0x99)),
  },
  {
    name: "JPEG 2000 of 65,535 layers",
    file: "layers.dcm",
    content: () => coded("1.2.840.10008.1.2.4.90", 4096, 4096, jpeg2000(4096, 65535, 0, 0x11)),
  },
  {
    name: "JPEG-LS of 4096² with no data",
    file: "jpegls.dcm",
    content: () =>
      coded(
        "1.2.840.10008.1.2.4.80",
        4096,
        4096,
        join([JPEG, frame(0xf7, 4096, 16), segment(0xda, new Uint8Array([1, 1, 0, 0, 0, 0]))]),
      ),
  },
  {
    name: "RLE of 4096² with no data",
    file: "rle.dcm",
    content: () => {
      const code = new Uint8Array(64);
      code.set([2, 0, 0, 0, 64, 0, 0, 0, 64]);
      return coded("1.2.840.10008.1.2.5", 4096, 4096, code);
    },
  },
  {
    name: "two million fragments of two bytes",
    file: "pieces.dcm",
    content: () => {
      const { before } = slice(64, 64, 0, [[0x00020010, "UI", "1.2.840.10008.1.2.5"]]);
      new DataView(before.buffer).setUint32(before.length - 4, UNDEFINED, true);
      const piece = join([start(0xfffe, 0xe000, "", 2), new Uint8Array(2)]);
      return [before, times(2_000_000, piece), END];
    },
  },
  {
    name: "four million empty fragments",
    file: "fragments.dcm",
    content: () => {
      const { before } = slice(64, 64, 0, [[0x00020010, "UI", "1.2.840.10008.1.2.5"]]);
      new DataView(before.buffer).setUint32(before.length - 4, UNDEFINED, true);
      return [before, times(4_000_000, ITEM), END];
    },
  },
];
