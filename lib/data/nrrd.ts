/** NRRD volumes (3D Slicer's): `.nrrd`, or `.nhdr` with its voxels beside it; teem.sourceforge.net/nrrd/format.html. */

import { InputError } from "../errors.ts";
import type { Geometry, Vec3 } from "./geometry.ts";
import {
  type ByteSource,
  fileSource,
  headerLines,
  numbersOf,
  readVoxels,
  type VoxelPlace,
} from "./volume_source.ts";
import type { FileVolume, VolumeOrder, VoxelHeader, VoxelType } from "./voxels.ts";

const NAMES: Record<VoxelType, string> = {
  i1: "signed char, int8, int8_t",
  u1: "uchar, unsigned char, uint8, uint8_t",
  i2: "short, short int, signed short, signed short int, int16, int16_t",
  u2: "ushort, unsigned short, unsigned short int, uint16, uint16_t",
  i4: "int, signed int, int32, int32_t",
  u4: "uint, unsigned int, uint32, uint32_t",
  f4: "float",
  f8: "double",
};
const TYPES = new Map(
  Object.entries(NAMES).flatMap(([type, names]) =>
    names.split(", ").map((name) => [name, type as VoxelType])
  ),
);

/** Signs that make the space's axes left, back, head. */
const SPACES: Record<string, Vec3> = {
  "left-posterior-superior": [1, 1, 1],
  lps: [1, 1, 1],
  "right-anterior-superior": [-1, -1, 1],
  ras: [-1, -1, 1],
  "left-anterior-superior": [1, -1, 1],
  las: [1, -1, 1],
};

/** Reads a volume; of a pair, give the `.nhdr`. @throws InputError naming the file and the reason. */
export async function readNrrd(path: string, order: VolumeOrder = "axial"): Promise<FileVolume> {
  return await parseNrrd(await fileSource(path), order);
}

/** @throws InputError naming the source and the reason, whatever its bytes are. */
export async function parseNrrd(
  source: ByteSource,
  order: VolumeOrder = "axial",
): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${source.name}": ${why}`);
  let header: VoxelHeader & VoxelPlace;
  try {
    header = parse(source.head);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  return await readVoxels(source, header, header, order);
}

function parse(head: Uint8Array): VoxelHeader & VoxelPlace {
  const fields = new Map<string, string>();
  let end = head.length, isFirst = true;
  for (const { line, end: next } of headerLines(head)) {
    if (isFirst) {
      if (!/^NRRD000[1-5]$/.test(line)) throw new Error("not an NRRD file");
      isFirst = false;
      continue;
    }
    if (line === "") { // the header's end
      end = next;
      break;
    }
    const match = /^([^:=#]+): (.*)$/.exec(line);
    if (!match) {
      if (line.startsWith("#") || line.includes(":=")) continue; // a comment, a key of the user's
      throw new Error(`line "${line}" is none of an NRRD header`);
    }
    const key = match[1].trim().toLowerCase();
    if (fields.has(key)) throw new Error(`"${key}" is given twice`);
    fields.set(key, match[2].trim());
  }
  if (isFirst) throw new Error("not an NRRD file");
  const field = (...names: string[]) =>
    names.map((name) => fields.get(name)).find((value) => value !== undefined);
  const [rank] = numbersOf("dimension", field("dimension") ?? "", 1);
  if (!(rank === 2 || rank === 3)) {
    throw new Error(
      `dimension is ${rank}, not 3: export one volume (in 3D Slicer, a segmentation as a labelmap)`,
    );
  }
  const kinds = (field("kinds") ?? "").split(/\s+/).filter((kind) => kind !== "");
  const other = kinds.find((kind) => !/^(domain|space|none|\?\?\?)$/i.test(kind));
  if (other) throw new Error(`an axis of kind ${other}, not of space`);
  const name = field("type") ?? "(none)", type = TYPES.get(name.toLowerCase());
  if (!type) throw new Error(`type ${name} is not supported`);
  const encoding = (field("encoding") ?? "(none)").toLowerCase();
  if (!/^(raw|gz|gzip)$/.test(encoding)) {
    throw new Error(`encoding ${encoding} is not supported: save it as raw or gzip`);
  }
  const compressed = encoding !== "raw";
  const endian = (field("endian") ?? "").toLowerCase();
  if (!/1$/.test(type) && endian !== "little" && endian !== "big") {
    throw new Error(`endian is "${endian}", not little or big`);
  }
  const file = field("data file", "datafile") ?? null;
  if (file !== null && /^list|%|\s/i.test(file)) {
    throw new Error(`a file for each slice (${file}): save it as one .nrrd file`);
  }
  if ((field("line skip", "lineskip") ?? "0") !== "0") {
    throw new Error("line skip is not supported");
  }
  const [skip] = numbersOf("byte skip", field("byte skip", "byteskip") ?? "0", 1);
  if (!Number.isInteger(skip) || skip < -1 || compressed && skip !== 0) {
    throw new Error(`byte skip is ${skip}`);
  }
  const notes: string[] = [];
  return {
    ...geometryOf(rank, field, notes),
    type,
    little: endian !== "big",
    slope: 1,
    intercept: 0,
    notes,
    file,
    offset: skip < 0 ? -1 : skip + (file === null ? end : 0),
    compressed,
  };
}

function geometryOf(
  rank: number,
  field: (...names: string[]) => string | undefined,
  notes: string[],
): Geometry {
  const sizes = numbersOf("sizes", field("sizes") ?? "", rank);
  const size: Vec3 = [sizes[0], sizes[1], sizes[2] ?? 1];
  const space = field("space");
  if (space === undefined) {
    if (field("space directions") !== undefined) {
      throw new Error("space directions without a named space: left and right are not known");
    }
    const spacing = numbersOf("spacings", field("spacings") ?? "", rank);
    notes.push("it has no space: its axes are taken as left, back and head");
    return {
      size,
      axes: [[spacing[0], 0, 0], [0, spacing[1], 0], [0, 0, spacing[2] ?? 1]],
      origin: [0, 0, 0],
    };
  }
  const signs = SPACES[space.toLowerCase()];
  if (!signs) throw new Error(`space ${space} is not supported`);
  const units = field("space units");
  if (units !== undefined && !/^("mm"\s*){3}$/.test(units)) {
    throw new Error(`space units are ${units}, not "mm"`);
  }
  const vectors = vectorsOf("space directions", field("space directions") ?? "");
  if (vectors.length !== rank) {
    throw new Error(`space directions must be ${rank} vectors, found ${vectors.length}`);
  }
  const [start] = vectorsOf("space origin", field("space origin") ?? "(0,0,0)");
  if (!start) throw new Error("space origin is none");
  const lps = (v: Vec3) => v.map((n, i) => n * signs[i] + 0) as Vec3;
  return {
    size,
    axes: [lps(vectors[0]), lps(vectors[1]), lps(vectors[2] ?? [0, 0, 1])],
    origin: lps(start),
  };
}

/** `(1,0,0) (0,1,0)` as numbers. */
function vectorsOf(key: string, text: string): Vec3[] {
  const parts = text.match(/\([^()]*\)|[^\s()]+/g) ?? [];
  return parts.map((part) => {
    if (!part.startsWith("(")) {
      throw new Error(`${key} has "${part}": an axis that is none of space`);
    }
    return numbersOf(key, part.slice(1, -1).replaceAll(",", " "), 3) as Vec3;
  });
}
