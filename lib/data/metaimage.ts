/**
 * MetaImage volumes: `.mha`, or `.mhd` with `.raw` or `.zraw` (MetaIO's documentation; LUNA16's form).
 * Positions are DICOM's, LPS mm, as ITK takes them.
 */

import { InputError } from "../errors.ts";
import type { Geometry, Vec3 } from "./geometry.ts";
import {
  type ByteSource,
  fileSource,
  headerLines,
  numbersOf,
  readVoxels,
} from "./volume_source.ts";
import type { FileVolume, VolumeOrder, VoxelHeader, VoxelType } from "./voxels.ts";

const TYPES: Record<string, VoxelType> = {
  MET_CHAR: "i1",
  MET_UCHAR: "u1",
  MET_SHORT: "i2",
  MET_USHORT: "u2",
  MET_INT: "i4",
  MET_UINT: "u4",
  MET_FLOAT: "f4",
  MET_DOUBLE: "f8",
};

/** Reads a volume; of a pair, give the `.mhd`. @throws InputError naming the file and the reason. */
export async function readMetaImage(
  path: string,
  order: VolumeOrder = "axial",
): Promise<FileVolume> {
  return await parseMetaImage(await fileSource(path), order);
}

/** @throws InputError naming the source and the reason, whatever its bytes are. */
export async function parseMetaImage(
  source: ByteSource,
  order: VolumeOrder = "axial",
): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${source.name}": ${why}`);
  let header: ReturnType<typeof parse>;
  try {
    header = parse(source.head);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  return await readVoxels(source, header, header, order);
}

function parse(head: Uint8Array) {
  const fields = new Map<string, string>();
  let end = -1;
  for (const { line, end: next } of headerLines(head)) {
    const at = line.indexOf("=");
    const key = line.slice(0, at).trim().toLowerCase(), value = line.slice(at + 1).trim();
    if (at < 0) {
      if (line.trim() === "") continue;
      throw new Error("not a MetaImage header");
    }
    if (fields.has(key)) throw new Error(`${line.slice(0, at).trim()} is given twice`);
    fields.set(key, value);
    if (key === "elementdatafile") { // always the last
      end = next;
      break;
    }
  }
  if (end < 0) throw new Error("a MetaImage header without ElementDataFile");
  /** The first of several names of one field. */
  const field = (...names: string[]) =>
    names.map((name) => fields.get(name.toLowerCase())).find((value) => value !== undefined);
  const isTrue = (...names: string[]) => /^(true|yes|1)$/i.test(field(...names) ?? "");
  if ((field("ObjectType") ?? "Image") !== "Image") {
    throw new Error(`ObjectType is ${field("ObjectType")}, not Image`);
  }
  const [rank] = numbersOf("NDims", field("NDims") ?? "", 1);
  if (!(rank === 2 || rank === 3)) throw new Error(`NDims is ${rank}, not 3`);
  const numbers = (count: number, ...names: string[]) => {
    const text = field(...names);
    return text === undefined ? null : numbersOf(names[0], text, count);
  };
  const sizes = numbers(rank, "DimSize");
  if (!sizes) throw new Error("no DimSize");
  if ((field("BinaryData") ?? "True").match(/^(false|no|0)$/i)) {
    throw new Error("voxels as text (BinaryData = False): only binary ones are read");
  }
  const channels = field("ElementNumberOfChannels") ?? "1";
  if (channels !== "1") throw new Error(`${channels} channels, not 1`);
  const slope = Number(field("ElementToIntensityFunctionSlope") ?? 1);
  const shift = Number(field("ElementToIntensityFunctionOffset") ?? 0);
  if (slope !== 1 || shift !== 0) throw new Error("values that need an intensity function");
  const name = field("ElementType") ?? "(none)", type = TYPES[name];
  if (!type) throw new Error(`ElementType ${name} is not supported`);
  const file = field("ElementDataFile")!, isLocal = /^local$/i.test(file);
  if (/^list|%|\s\d+\s\d+/i.test(file)) {
    throw new Error(`a file for each slice (${file}): save it as one .mha file`);
  }
  const [skip] = numbers(1, "HeaderSize") ?? [0];
  if (!Number.isInteger(skip) || skip < -1) throw new Error(`HeaderSize is ${skip}`);
  const notes: string[] = [];
  return {
    ...geometryOf(sizes, rank, numbers, notes),
    type,
    little: !isTrue("BinaryDataByteOrderMSB", "ElementByteOrderMSB"),
    slope: 1,
    intercept: 0,
    notes,
    file: isLocal ? null : file,
    offset: skip < 0 ? -1 : skip + (isLocal ? end : 0),
    compressed: isTrue("CompressedData"),
  } satisfies VoxelHeader & { file: string | null; offset: number; compressed: boolean };
}

function geometryOf(
  sizes: number[],
  rank: number,
  numbers: (count: number, ...names: string[]) => number[] | null,
  notes: string[],
): Geometry {
  const spacing = numbers(rank, "ElementSpacing", "ElementSize");
  if (!spacing) throw new Error("no ElementSpacing");
  const origin = numbers(rank, "Offset", "Position", "Origin") ?? sizes.map(() => 0);
  const given = numbers(rank * rank, "TransformMatrix", "Rotation", "Orientation");
  if (!given) notes.push("it has no TransformMatrix: its axes are taken as left, back and head");
  // One axis' direction after the other.
  const direction = (n: number): Vec3 => {
    if (n >= rank || !given) return [0, 1, 2].map((i) => i === n ? 1 : 0) as Vec3;
    return [0, 1, 2].map((i) => i < rank ? given[n * rank + i] : 0) as Vec3;
  };
  const axis = (n: number) => direction(n).map((v) => v * (n < rank ? spacing[n] : 1)) as Vec3;
  return {
    size: [sizes[0], sizes[1], sizes[2] ?? 1],
    axes: [axis(0), axis(1), axis(2)],
    origin: [origin[0], origin[1], origin[2] ?? 0],
  };
}
