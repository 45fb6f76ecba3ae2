/**
 * NIfTI-1 and -2 volumes (`.nii`, `.nii.gz`, pairs of `.hdr` and `.img`) and Analyze 7.5's pairs,
 * turned the way DICOM slices mostly lie.
 */

import { isNIFTI, isNIFTI1, readHeader } from "nifti-reader-js";
import { InputError } from "../errors.ts";
import { fileChunks, unzipped } from "../io/chunks.ts";
import { LIMITS, volumeExcess } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";
import type { Vec3 } from "./geometry.ts";
import { niftiGeometry } from "./nifti_affine.ts";
import {
  type FileVolume,
  placeExcess,
  type VolumeOrder,
  voxelBytes,
  type VoxelHeader,
  VoxelSink,
  type VoxelType,
} from "./voxels.ts";

const HEADER_BYTES = 4096;
/** May lie before the voxels (extensions of the header), and behind them. */
const MAX_OTHER = 2 ** 24;
/** NIfTI's data types that are read, as lib/data/voxels.ts names them. */
const TYPES: Record<number, VoxelType> = {
  2: "u1",
  256: "i1",
  4: "i2",
  512: "u2",
  8: "i4",
  768: "u4",
  16: "f4",
  64: "f8",
};

/** Reads a volume; of a pair, give the `.hdr`. @throws InputError naming the file and the reason. */
export async function readNifti(path: string, order: VolumeOrder = "axial"): Promise<FileVolume> {
  if (/\.hdr$/i.test(path)) return await readPair(path, order);
  return await fromChunks(fileChunks(path, LIMITS.volume.bytes + MAX_OTHER), path, order);
}

/**
 * Parses a volume, compressed or not.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export async function parseNifti(
  bytes: Uint8Array,
  name: string,
  order: VolumeOrder = "axial",
): Promise<FileVolume> {
  return await fromChunks([bytes], name, order);
}

/**
 * A volume from its bytes as they come: a compressed or wide one is never whole in memory. What the
 * header claims is checked before room is made for it.
 */
async function fromChunks(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  name: string,
  order: VolumeOrder,
): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  let start = new Uint8Array(0), at = 0;
  let header: Header | undefined, voxels: VoxelSink | undefined;
  for await (const chunk of unzipped(chunks, fail)) {
    let piece = chunk;
    if (!header) {
      start = joined(start, chunk);
      if (start.length < HEADER_BYTES) continue;
      piece = start;
      header = headerOf(start.slice(0, HEADER_BYTES), fail);
      voxels = new VoxelSink(header, order, fail);
    }
    if (at + piece.length > header.offset) {
      voxels!.take(at < header.offset ? piece.subarray(header.offset - at) : piece);
    }
    at += piece.length;
    if (at > header.offset + header.bytes + MAX_OTHER) {
      throw fail(`more than ${MAX_OTHER} bytes behind its voxels`);
    }
  }
  if (!header) { // the whole file is shorter
    header = headerOf(start, fail);
    voxels = new VoxelSink(header, order, fail);
    if (start.length > header.offset) voxels.take(start.subarray(header.offset));
    at = start.length;
  }
  const need = header.offset + header.bytes;
  if (at < need) throw fail(`truncated: ${at} of ${need} bytes`);
  return voxels!.volume;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

interface Header extends VoxelHeader {
  /** Where voxels begin, and how many bytes they are. */
  offset: number;
  bytes: number;
}

function headerOf(start: Uint8Array<ArrayBuffer>, fail: (why: string) => Error): Header {
  let header: ReturnType<typeof readHeader>;
  try {
    if (start.length < 348 || !isNIFTI(start.buffer)) throw new Error("not a NIfTI file");
    header = readHeader(start.buffer);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const [rank, ...sizes] = Array.from(header.dims, Number);
  if (rank < 2 || rank > 7) throw fail(`${rank} dimensions`);
  const size = [0, 1, 2].map((axis) => axis < rank ? sizes[axis] : 1) as Vec3;
  const beyond = sizes.slice(3, rank).find((size) => size > 1);
  if (beyond !== undefined) throw fail(`more than three dimensions: [${sizes.slice(0, rank)}]`);
  const type = TYPES[header.datatypeCode];
  if (!type) throw fail(`data type ${header.datatypeCode} is not supported`);
  const excess = volumeExcess(size, voxelBytes(type));
  if (excess) throw fail(excess);
  const offset = Number(header.vox_offset);
  if (!(offset >= 0 && offset <= MAX_OTHER)) throw fail(`voxels start at byte ${offset}`);
  const notes: string[] = [], little = header.littleEndian;
  let place: ReturnType<typeof niftiGeometry>;
  try {
    place = niftiGeometry(start, isNIFTI1(start.buffer) ? 1 : 2, little, size, notes);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  const misplaced = placeExcess(place);
  if (misplaced) throw fail(misplaced);
  // Without a slope neither counts (nifti1.h); nibabel does the same.
  const isScaled = Number.isFinite(header.scl_slope) && header.scl_slope !== 0;
  return {
    ...place,
    bytes: size[0] * size[1] * size[2] * voxelBytes(type),
    type,
    offset,
    little,
    slope: isScaled ? header.scl_slope : 1,
    intercept: isScaled && Number.isFinite(header.scl_inter) ? header.scl_inter : 0,
    notes,
  };
}

/** A header of its own, and the voxels in the `.img` (or `.img.gz`) beside it. */
async function readPair(path: string, order: VolumeOrder): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${path}": ${why}`);
  const stem = path.slice(0, -4);
  const image = [".img", ".IMG", ".img.gz"].map((ending) => stem + ending).find(isFile);
  if (!image) throw fail(`its voxels, "${stem}.img", are missing`);
  const voxels = fileChunks(image, LIMITS.volume.bytes + MAX_OTHER);
  return await parsePair(await readFileBounded(path, LIMITS.textHeader.bytes), voxels, path, order);
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Parses a pair.
 * @param voxels the bytes of the `.img`, compressed or not.
 * @throws InputError naming `name` and the reason, whatever the bytes are.
 */
export async function parsePair(
  hdr: Uint8Array,
  voxels: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  name: string,
  order: VolumeOrder = "axial",
): Promise<FileVolume> {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  const header = headerOf(asSingleFile(hdr, fail), fail);
  const sink = new VoxelSink(header, order, fail);
  let at = 0;
  for await (const piece of unzipped(voxels, fail)) {
    if (at + piece.length > header.offset) {
      sink.take(at < header.offset ? piece.subarray(header.offset - at) : piece);
    }
    at += piece.length;
    if (at > header.offset + header.bytes + MAX_OTHER) throw fail("voxels behind the last one");
  }
  const need = header.offset + header.bytes;
  if (at < need) throw fail(`truncated: its .img has ${at} of ${need} bytes`);
  return sink.volume;
}

/**
 * A pair's header as one of a single file. Analyze's has no word for where it lies: the bytes where
 * NIfTI keeps that are other things, and are set to 0 (so that a note says it).
 */
function asSingleFile(hdr: Uint8Array, fail: (why: string) => Error): Uint8Array<ArrayBuffer> {
  const out = Uint8Array.from(hdr);
  if (out.length < 348) throw fail(`a header of ${out.length} bytes, not 348`);
  const magic = String.fromCharCode(...out.subarray(344, 347));
  if (magic === "ni1") {
    out[345] = 0x2b; // n+1
    return out;
  }
  if (String.fromCharCode(...out.subarray(4, 7)) === "ni2") {
    out[5] = 0x2b;
    return out;
  }
  const view = new DataView(out.buffer);
  const little = view.getInt32(0, true) === 348;
  if (!little && view.getInt32(0, false) !== 348) {
    throw fail("neither NIfTI's nor Analyze's header");
  }
  if (out[252] !== 0) throw fail(`Analyze's orient is ${out[252]}: only 0 (transverse) is read`);
  out.fill(0, 116, 124); // no intercept, no units
  out.fill(0, 252, 348);
  out.set([0x6e, 0x2b, 0x31], 344);
  return out;
}
