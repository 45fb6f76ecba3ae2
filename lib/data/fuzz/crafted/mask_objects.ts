/** SEG and RTSTRUCT objects of endless frames, outlines and texts. */

import { type Element, encodeElements, type Item, join } from "../../dicom_write/element.ts";
import { RTSTRUCT, SEG } from "../../dicom/mask_object.ts";
import { type Content, type Crafted, deflateBomb, HOSTILE_TEXT, repeat, text } from "./crafted.ts";
import { EXPLICIT, head, ITEM, start, times, UNDEFINED } from "./dicom.ts";

const DEFLATED = "1.2.840.10008.1.2.1.99";

const code = (value: string): Item => [
  [0x00080100, "SH", value],
  [0x00080104, "LO", "Nodule"],
];

interface SegOptions {
  frames: number;
  side: number;
  segments?: number;
  /** BINARY's bits, or FRACTIONAL's bytes. */
  pixels: Content;
  length: number;
  bits?: 1 | 8;
  label?: string;
  changes?: readonly Element[];
  groups?: number;
}

/** A segmentation all of whose frames lie on the first slice. */
function seg(options: SegOptions): Content {
  const { frames, side, segments = 1, pixels, length, bits = 1, label = "Nodule" } = options;
  const { changes = [], groups = frames } = options;
  const changed = new Set(changes.map(([tag]) => tag));
  const shared: Item = [
    [0x00209116, "SQ", [[[0x00200037, "DS", [1, 0, 0, 0, 1, 0]]]]],
    [0x00289110, "SQ", [[[0x00280030, "DS", [0.7, 0.7]]]]],
    [0x00209113, "SQ", [[[0x00200032, "DS", [0, 0, 0]]]]],
    [0x0062000a, "SQ", [[[0x0062000b, "US", 1]]]],
  ];
  const elements: Element[] = ([
    [0x00080016, "UI", SEG],
    [0x00080060, "CS", "SEG"],
    [0x0020000e, "UI", "2.25.1"],
    [0x00280002, "US", 1],
    [0x00280008, "IS", frames],
    [0x00280010, "US", side],
    [0x00280011, "US", side],
    [0x00280100, "US", bits],
    [0x00280101, "US", bits],
    [0x00280102, "US", bits - 1],
    [0x00280103, "US", 0],
    [0x00620001, "CS", bits === 1 ? "BINARY" : "FRACTIONAL"],
    [0x0062000e, "US", 255],
    [
      0x00620002,
      "SQ",
      Array.from({ length: segments }, (_, i): Item => [
        [0x00620004, "US", i + 1],
        [0x00620005, "LO", label],
        ...segments === 1 ? [[0x00620003, "SQ", [code("M-01000")]]] as Element[] : [],
      ]),
    ],
    [0x52009229, "SQ", [shared]],
    [0x52009230, "SQ", Array.from({ length: groups }, (): Item => [])],
  ] as Element[]).filter(([tag]) => !changed.has(tag));
  return [
    head(EXPLICIT),
    encodeElements([...elements, ...changes]),
    start(0x7fe0, 0x0010, bits === 1 ? "OB" : "OW", length),
    ...pixels,
  ];
}

interface Contour {
  type?: string;
  data: string;
}

/** A structure set of one ROI, `contours` of which are alike. */
function rtstruct(
  contours: number,
  contour: Contour,
  { rois = 1, name = "Nodule" }: { rois?: number; name?: string } = {},
): Content {
  const outline: Item = [
    [0x30060042, "CS", contour.type ?? "CLOSED_PLANAR"],
    [0x30060050, "DS", ""],
  ];
  // ContourData may be longer than 65,534 bytes, which DS cannot say: UN can.
  const data = text(contour.data.length % 2 ? contour.data + " " : contour.data);
  const one = join([
    encodeElements(outline.slice(0, 1)),
    start(0x3006, 0x0050, "UN", data.length),
    data,
  ]);
  const item = join([start(0xfffe, 0xe000, "", one.length), one]);
  const number = encodeElements([[0x30060084, "IS", 1]]);
  const sequence = start(0x3006, 0x0040, "SQ", contours * item.length);
  const roi = sequence.length + contours * item.length + number.length;
  return [
    head(EXPLICIT),
    encodeElements([
      [0x00080016, "UI", RTSTRUCT],
      [0x00080060, "CS", "RTSTRUCT"],
      [
        0x30060020,
        "SQ",
        Array.from({ length: rois }, (_, i): Item => [
          [0x30060022, "IS", i + 1],
          [0x30060026, "LO", name],
        ]),
      ],
    ]),
    start(0x3006, 0x0039, "SQ", roi + 8),
    start(0xfffe, 0xe000, "", roi),
    sequence,
    times(contours, item),
    number,
  ];
}

/** An outline once round the slice, of so many points. */
function round(points: number, z = "0"): string {
  return Array.from({ length: points }, (_, i) => {
    const angle = 2 * Math.PI * i / points;
    const at = (f: (x: number) => number) => (170 + 160 * f(angle)).toFixed(1);
    return `${at(Math.cos)}\\${at(Math.sin)}\\${z}`;
  }).join("\\");
}

const zigzag = (points: number) =>
  Array.from({ length: points }, (_, i) => `${i % 7}\\${i % 2 ? 350 : 0}\\0`).join("\\");

export const MASK_OBJECTS: readonly Crafted[] = [
  {
    name: "SEG: 16,384 frames of 128², sparse",
    file: "frames.seg",
    content: () => seg({ frames: 16384, side: 128, pixels: [2 ** 25], length: 2 ** 25 }),
    mayBeRead: true,
  },
  {
    name: "SEG: 1,024 frames of 512², all ones on one slice",
    file: "ones.seg",
    content: () =>
      seg({
        frames: 1024,
        side: 512,
        pixels: [new Uint8Array(2 ** 25).fill(255)],
        length: 2 ** 25,
      }),
    mayBeRead: true,
  },
  {
    name: "SEG: 896 fractional frames of 512², sparse",
    file: "fractional.seg",
    content: () =>
      seg({
        frames: 896,
        side: 512,
        bits: 8,
        pixels: [896 * 2 ** 18],
        length: 896 * 2 ** 18,
      }),
    mayBeRead: true,
  },
  {
    name: "SEG: 40,000 segments, 4,096 frames",
    file: "segments.seg",
    content: () => seg({ frames: 4096, side: 8, segments: 40000, pixels: [32768], length: 32768 }),
    mayBeRead: true,
  },
  {
    name: "SEG: 2 billion frames",
    file: "billions.seg",
    content: () => seg({ frames: 2e9, side: 8, groups: 1, pixels: [64], length: 64 }),
  },
  {
    name: "SEG: frames of 65,535²",
    file: "sides.seg",
    content: () => seg({ frames: 1, side: 65535, pixels: [64], length: 64 }),
  },
  {
    name: "SEG: pixels announced that are not there",
    file: "cut.seg",
    content: () => seg({ frames: 4, side: 512, pixels: [64], length: 4 * 2 ** 15 }),
  },
  {
    name: "SEG: a frame of a segment that is not described",
    file: "stray.seg",
    content: () =>
      seg({
        frames: 1,
        side: 8,
        pixels: [8],
        length: 8,
        changes: [[0x00620002, "SQ", [[[0x00620004, "US", 9]]]]],
      }),
  },
  {
    name: "SEG: a label that a terminal obeys, a SegmentationType likewise",
    file: "escape.seg",
    content: () =>
      seg({
        frames: 1,
        side: 8,
        pixels: [8],
        length: 8,
        label: HOSTILE_TEXT,
        changes: [[0x00620001, "CS", HOSTILE_TEXT]],
      }),
  },
  {
    name: "SEG: MaximumFractionalValue 0",
    file: "none.seg",
    content: () =>
      seg({
        frames: 1,
        side: 8,
        bits: 8,
        pixels: [64],
        length: 64,
        changes: [[0x0062000e, "US", 0]],
      }),
  },
  {
    name: "SEG: positions that are no numbers",
    file: "position.seg",
    content: () =>
      seg({
        frames: 1,
        side: 8,
        pixels: [8],
        length: 8,
        changes: [[0x52009229, "SQ", [[[
          0x00209113,
          "SQ",
          [[[0x00200032, "DS", "1e999\\nan\\0x10"]]],
        ]]]]],
      }),
  },
  {
    name: "SEG: three million functional groups",
    file: "groups.seg",
    content: () => [
      head(EXPLICIT),
      encodeElements([[0x00080016, "UI", SEG]]),
      start(0x5200, 0x9230, "SQ", UNDEFINED),
      times(3_000_000, ITEM),
    ],
  },
  {
    name: "SEG: a data set that inflates to 4 GiB",
    file: "deflated.seg",
    content: () => [head(DEFLATED), ...deflateBomb(4096)],
  },
  {
    name: "RTSTRUCT: ContourData of 200 MB",
    file: "data.rtstruct",
    content: () => rtstruct(1, { data: "1\\".repeat(100_000_000) }),
  },
  {
    name: "RTSTRUCT: ContourData of 6 million points, sparse",
    file: "spaces.rtstruct",
    content: () => {
      const made = [...rtstruct(1, { data: "" })];
      return [...made, 200_000_000];
    },
    mayBeRead: true, // nothing in it
  },
  {
    name: "RTSTRUCT: 4 million points",
    file: "points.rtstruct",
    content: () => rtstruct(1, { data: round(4_100_000, "0") }),
    mayBeRead: true,
  },
  {
    name: "RTSTRUCT: 60,000 outlines round the slice",
    file: "outlines.rtstruct",
    content: () => rtstruct(60_000, { data: round(12) }),
    mayBeRead: true,
  },
  {
    name: "RTSTRUCT: 70,000 outlines",
    file: "many.rtstruct",
    content: () => rtstruct(70_000, { data: round(3) }),
  },
  {
    name: "RTSTRUCT: 200,000 edges from top to bottom",
    file: "zigzag.rtstruct",
    content: () => rtstruct(1, { data: zigzag(200_000) }),
  },
  {
    name: "RTSTRUCT: an outline 10^300 mm wide",
    file: "wide.rtstruct",
    content: () => rtstruct(1, { data: "0\\0\\0\\1e300\\0\\0\\1e300\\1e300\\0\\0\\1e300\\0" }),
    mayBeRead: true,
  },
  {
    name: "RTSTRUCT: coordinates that are no numbers",
    file: "nan.rtstruct",
    content: () => rtstruct(1, { data: "nan\\1e999\\0x10" }),
  },
  {
    name: "RTSTRUCT: half a point",
    file: "half.rtstruct",
    content: () => rtstruct(1, { data: "1\\2\\0\\3\\4" }),
  },
  {
    name: "RTSTRUCT: 80,000 regions without outlines",
    file: "regions.rtstruct",
    content: () => rtstruct(1, { data: round(12) }, { rois: 80_000 }),
    mayBeRead: true,
  },
  {
    name: "RTSTRUCT: a region's name that a terminal obeys",
    file: "escape.rtstruct",
    content: () => rtstruct(1, { data: "1\\2\\0", type: "OPEN" }, { name: HOSTILE_TEXT }),
  },
  {
    name: "RTSTRUCT: a region's name of 60 kB",
    file: "name.rtstruct",
    content: () => rtstruct(1, { data: "1\\2\\0", type: "OPEN" }, { name: "x".repeat(60_000) }),
  },
  {
    name: "RTSTRUCT: a spiral of 3 MB between two slices",
    file: "between.rtstruct",
    content: () => rtstruct(1, { data: round(100_000, "1.5e3") }),
  },
  {
    name: "RTSTRUCT: a million sequences, nested",
    file: "nested.rtstruct",
    content: () => [
      head(EXPLICIT),
      encodeElements([[0x00080016, "UI", RTSTRUCT]]),
      times(
        1_000_000,
        join([
          start(0x3006, 0x0039, "SQ", UNDEFINED),
          start(0xfffe, 0xe000, "", UNDEFINED),
        ]),
      ),
    ],
  },
  {
    name: "RTSTRUCT: a UID of 60 kB",
    file: "uid.rtstruct",
    content: () => [
      head(EXPLICIT),
      start(0x0008, 0x0016, "UI", 60_000),
      repeat("1.", 30_000),
    ],
  },
];
