/** safetensors, PyTorch's pickles in both forms, and packed caches. */

import { crc32 } from "node:zlib";
import { join } from "../../dicom_write/element.ts";
import { MAGIC, recordBytes as recordBytesOf, VERSION } from "../../packed/format.ts";
import { type Content, type Crafted, HOSTILE_TEXT, repeat, text, u32, u64 } from "./crafted.ts";

const st = (header: string | Uint8Array, dataBytes = 0): Content => [
  u64(BigInt(header.length)),
  header,
  dataBytes,
];
const tensor = (name: string, dtype: string, shape: string, from: number, to: number) =>
  `"${name}":{"dtype":"${dtype}","shape":${shape},"data_offsets":[${from},${to}]}`;
const GiB = 2 ** 30;

export const SAFETENSORS: readonly Crafted[] = [
  {
    name: "a header of nested arrays, 4 MB",
    file: "nested.safetensors",
    content: () => st(`{"a":${"[".repeat(4e6)}`),
  },
  {
    name: "a header of small arrays, 4 MB",
    file: "arrays.safetensors",
    content: () => st(`{"a":[${"[],".repeat(1.3e6)}[]]}`),
  },
  {
    name: "a header of 99 MB",
    file: "header.safetensors",
    content: () => st(repeat(`{"a":[${"[],".repeat(1000)}]},`, 3.2e4)),
  },
  {
    name: "a header of 4 MB of spaces",
    file: "spaces.safetensors",
    content: () => st("{" + " ".repeat(4e6)),
  },
  {
    name: "a header of 2^63 bytes",
    file: "long.safetensors",
    content: () => [u64(2n ** 63n), 100],
  },
  {
    name: "50,000 tensors of nothing",
    file: "many.safetensors",
    content: () =>
      st(`{${Array.from({ length: 5e4 }, (_, i) => tensor(`${i}`, "U8", "[0]", 0, 0)).join(",")}}`),
    mayBeRead: true,
  },
  {
    name: "a shape of a million axes",
    file: "axes.safetensors",
    content: () => st(`{${tensor("a", "U8", `[${"0,".repeat(1e6)}0]`, 0, 0)}}`),
  },
  {
    name: "8 GiB, sparse",
    file: "sparse.safetensors",
    content: () =>
      st(`{${tensor("a", "U8", `[${8 * GiB - 200}]`, 0, 8 * GiB - 200)}}`, 8 * GiB - 200),
  },
  {
    name: "2 GiB, sparse",
    file: "sparser.safetensors",
    content: () => st(`{${tensor("a", "F32", `[${GiB / 2}]`, 0, 2 * GiB)}}`, 2 * GiB),
  },
  {
    name: "offsets of 2^53",
    file: "offsets.safetensors",
    content: () => st(`{${tensor("a", "U8", "[9007199254740991]", 0, 9007199254740991)}}`, 8),
  },
  {
    name: "a dtype of 4 MB",
    file: "dtype.safetensors",
    content: () => st(`{${tensor("a", "x".repeat(4e6), "[0]", 0, 0)}}`),
  },
  {
    name: "a name of 4 MB that a terminal obeys",
    file: "name.safetensors",
    content: () => {
      const name = JSON.stringify(HOSTILE_TEXT.repeat(4e4)).slice(1, -1);
      return st(text(`{${tensor(name, "U9", "[0]", 0, 0)}}`));
    },
  },
  {
    name: "metadata that are no text",
    file: "metadata.safetensors",
    content: () => st(`{"__metadata__":{"${"k".repeat(1e6)}":{}}}`),
  },
  {
    name: "tensors over one another",
    file: "overlap.safetensors",
    content: () => st(`{${tensor("a", "U8", "[8]", 0, 8)},${tensor("b", "U8", "[8]", 4, 12)}}`, 12),
  },
];

// Opcodes of protocol 2 (CPython Lib/pickletools.py).
const OP = {
  proto: [0x80, 2],
  stop: 0x2e,
  mark: 0x28,
  emptyList: 0x5d,
  emptyDict: 0x7d,
  emptyTuple: 0x29,
  appends: 0x65,
  setItems: 0x75,
  tuple: 0x74,
  tuple1: 0x85,
  tuple2: 0x86,
  reduce: 0x52,
  put: (at: number) => [0x72, at & 255, at >> 8 & 255, at >> 16 & 255, at >>> 24],
  get: (at: number) => [0x6a, at & 255, at >> 8 & 255, at >> 16 & 255, at >>> 24],
  int: (value: number) => [0x4b, value],
  none: 0x4e,
  text: (value: string) => [0x55, value.length, ...text(value)],
  global: (module: string, name: string) => [0x63, ...text(`${module}\n${name}\n`)],
};
type Ops = (number | number[] | Uint8Array)[];
const ops = (...parts: Ops): Uint8Array =>
  join(parts.map((part) => part instanceof Uint8Array ? part : new Uint8Array([part].flat())));
const times = (count: number, ...parts: Ops): Uint8Array => {
  const one = ops(...parts), out = new Uint8Array(count * one.length);
  for (let i = 0; i < count; i++) out.set(one, i * one.length);
  return out;
};
const ORDERED = OP.global("collections", "OrderedDict");

/** A stored zip archive of these entries. */
function zip(entries: [string, Uint8Array][]): Uint8Array {
  const locals: Uint8Array[] = [], central: Uint8Array[] = [];
  let at = 0;
  for (const [name, data] of entries) {
    const path = text(name), sizes = join([u32(crc32(data)), u32(data.length), u32(data.length)]);
    const lengths = u32(path.length);
    const local = join([u32(0x04034b50), new Uint8Array(10), sizes, lengths, path, data]);
    const listed = [
      u32(0x02014b50),
      new Uint8Array(12),
      sizes,
      lengths,
      new Uint8Array(10),
      u32(at),
    ];
    central.push(join([...listed, path]));
    locals.push(local);
    at += local.length;
  }
  const list = join(central), end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, entries.length, true);
  end.setUint16(10, entries.length, true);
  end.setUint32(12, list.length, true);
  end.setUint32(16, at, true);
  return join([...locals, list, new Uint8Array(end.buffer)]);
}

const pth = (...parts: Ops): Content => [
  zip([["a/data.pkl", ops(OP.proto, ...parts, OP.stop)], ["a/byteorder", text("little")]]),
];
/** The older form: magic number, protocol, system, then what is given. */
const legacy = (...parts: Ops): Content => {
  const magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  return [ops(
    ...[OP.proto, [0x8a, 10, ...magic], OP.stop],
    ...[OP.proto, [0x4d, 0xe9, 3], OP.stop],
    ...[OP.proto, OP.emptyDict, OP.stop],
    ...parts,
  )];
};
/** A tuple of two tuples that are the same tuple, so many times over: 2^n leaves. */
const doubled = (n: number) =>
  Array.from({ length: n }, (_, i) => ops(OP.put(i), OP.get(i), OP.tuple2));

export const PICKLE: readonly Crafted[] = [
  {
    name: "lists of 300,000 items to OrderedDict, again and again",
    file: "reduce.pth",
    content: () => {
      // (0, None), (1, None), …
      const pairs = times(300_000, [0x4a], u32(0), OP.none, OP.tuple2);
      const view = new DataView(pairs.buffer);
      for (let i = 0; i < 300_000; i++) view.setUint32(7 * i + 1, i, true);
      const list = ops(OP.emptyList, OP.mark, pairs, OP.appends, OP.tuple1);
      return pth(
        OP.emptyList,
        OP.mark,
        list,
        OP.put(1),
        times(1000, ORDERED, OP.get(1), OP.reduce),
      );
    },
  },
  {
    name: "OrderedDicts of a list of 900,000 items",
    file: "ordered.pth",
    content: () => {
      const pair = ops(OP.int(1), OP.int(2), OP.tuple2, OP.put(0));
      const list = ops(OP.emptyList, OP.mark, times(900_000, OP.get(0)), OP.appends, OP.tuple1);
      return pth(pair, list, OP.put(1), times(100, ORDERED, OP.get(1), OP.reduce));
    },
  },
  {
    name: "tuples that share tuples, as the protocol",
    file: "shared.pth",
    content: () => {
      const [start] = legacy();
      const magic = (start as Uint8Array).subarray(0, 15);
      return [magic, ops(OP.proto, OP.int(1), ...doubled(64), OP.stop)];
    },
  },
  {
    name: "tuples that share tuples, as the name of a storage",
    file: "shared_key.pth",
    content: () =>
      legacy(
        ...[OP.proto, OP.emptyDict, OP.stop],
        ...[OP.proto, OP.emptyList, OP.mark, OP.int(1), ...doubled(64), OP.appends, OP.stop],
      ),
  },
  {
    name: "tuples that share tuples, as a tensor's shape",
    file: "shared_shape.pth",
    content: () =>
      pth(
        OP.global("torch._utils", "_rebuild_tensor_v2"),
        ...[OP.mark, OP.none, OP.int(0), OP.int(1), ...doubled(64), OP.emptyTuple, OP.tuple],
        OP.reduce,
      ),
  },
  {
    name: "dicts that hold one another",
    file: "cycle.pth",
    content: () =>
      pth(
        OP.emptyDict,
        OP.put(0),
        OP.mark,
        ...Array.from({ length: 200 }, (_, i) => ops(OP.text(`${i}`), OP.get(0))),
        OP.setItems,
      ),
  },
  {
    name: "five million empty dicts",
    file: "dicts.pth",
    content: () => pth(times(5e6, OP.emptyDict)),
  },
  { name: "a million dicts", file: "million.pth", content: () => pth(times(1e6, OP.emptyDict)) },
  { name: "a million marks", file: "marks.pth", content: () => pth(times(1e6, OP.mark), OP.tuple) },
  {
    name: "a million tuples in one another",
    file: "tuples.pth",
    content: () => pth(OP.int(1), times(9e5, OP.tuple1)),
  },
  {
    name: "a text of 10 MB",
    file: "text.pth",
    content: () => pth([0x58], u32(1e7), repeat("x", 1e7)),
  },
  {
    name: "four hundred texts of 60 kB as a tensor's name",
    file: "names.pth",
    content: () =>
      pth(
        OP.emptyDict,
        OP.mark,
        times(250, [0x58], u32(6e4), repeat("\x1b", 6e4), OP.emptyDict),
        OP.setItems,
      ),
  },
  {
    name: "a function that is run",
    file: "run.pth",
    content: () => pth(OP.global("os", "system"), OP.text("id"), OP.tuple1, OP.reduce),
  },
  {
    name: "a function that a terminal obeys",
    file: "escape.pth",
    content: () => pth(OP.global("\x1b[31mtorch\x1b[2J", "\u202egnp")),
  },
  {
    name: "65,000 entries with names of 1000 bytes",
    file: "entries.pth",
    content: () => [
      zip(
        Array.from({ length: 60_000 }, (_, i) => [`${i}`.padStart(1000, "x"), new Uint8Array(0)]),
      ),
    ],
  },
  {
    name: "1 GiB, sparse",
    file: "sparse.bin",
    content: () => [u32(0x04034b50), GiB - 4],
  },
];

/** Bytes of a slice of 8². */
const RECORD = recordBytesOf(64);

function packed(index: string, offset: number, recordBytes: number, hole: number): Content {
  const head = join([text(MAGIC), u32(VERSION), u32(recordBytes)]), bytes = text(index);
  const foot = join([u64(BigInt(offset)), u32(bytes.length), u32(crc32(bytes)), text(MAGIC)]);
  return [head, hole, bytes, foot];
}
const index = (fields: object) =>
  JSON.stringify({
    ...{ key: "k", height: 8, width: 8, ids: [], patients: [], labels: [], checksums: [] },
    ...fields,
  });

export const PACKED: readonly Crafted[] = [
  {
    name: "an index of nested arrays",
    file: "nested.pack",
    content: () => packed("[".repeat(4e7), 16, RECORD, 0),
  },
  {
    name: "an index of small arrays",
    file: "arrays.pack",
    content: () => packed(`{"ids":[${"[],".repeat(1.5e7)}[]]}`, 16, RECORD, 0),
  },
  {
    name: "an index of 600 MB, sparse",
    file: "large.pack",
    content: () => [
      text(MAGIC),
      ...[u32(VERSION), u32(RECORD), 6e8],
      ...[u64(16n), u32(6e8), u32(0), text(MAGIC)],
    ],
  },
  {
    name: "slices of 65,536²",
    file: "sides.pack",
    content: () => packed(index({ height: 65536, width: 65536 }), 16, 0, 0),
  },
  {
    name: "no list of names",
    file: "lists.pack",
    content: () => packed(index({ ids: 3 }), 16, RECORD, 0),
  },
  {
    name: "labels that are no labels",
    file: "labels.pack",
    content: () =>
      packed(
        index({ ids: ["a"], patients: ["p"], labels: ["\x1b[2J"], checksums: [0] }),
        16 + RECORD,
        RECORD,
        RECORD,
      ),
  },
  {
    name: "a damaged slice whose name a terminal obeys",
    file: "escape.pack",
    content: () =>
      packed(
        index({ ids: [HOSTILE_TEXT.repeat(50)], patients: ["p"], labels: [1], checksums: [1] }),
        ...[16 + RECORD, RECORD, RECORD] as const,
      ),
  },
  {
    name: "half a million slices",
    file: "slices.pack",
    content: () => {
      const n = 4e5, fill = (value: unknown) => Array(n).fill(value);
      const lists = { ids: fill("a"), patients: fill("p"), labels: fill(0), checksums: fill(0) };
      return packed(index({ ...lists }), 16 + RECORD * n, RECORD, RECORD * n);
    },
  },
  { name: "cut off", file: "cut.pack", content: () => [text(MAGIC), 100] },
  { name: "no index", file: "null.pack", content: () => packed("null", 16, RECORD, 0) },
];
