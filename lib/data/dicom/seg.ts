/** DICOM segmentation objects (PS3.3 A.51): BINARY and FRACTIONAL, any segments, empty frames left out. */

import type { DataSet } from "dicom-parser";
import { LIMITS, volumeExcess } from "../../io/limits.ts";
import type { Vec3 } from "../geometry.ts";
import { frameReader } from "./frames.ts";
import { headerOf } from "./header.ts";
import { isOn, type MaskGrid, onSlice, type Region, sliceAt } from "./mask_grid.ts";
import { decimalsOf, itemOf, itemsOf, shortOf, textOf } from "./nested.ts";
import { decodePixels } from "./pixels.ts";
import { TRANSFER_SYNTAXES, unreadable } from "./transfer_syntax.ts";

interface Frame {
  segment: number;
  /** The image that it was drawn on; "" where not said. */
  sop: string;
  position: Vec3;
  row: Vec3;
  column: Vec3;
  spacing: [number, number];
  number: number;
}

/** All frames' pixels, as they lie in the file where they can stay there. */
interface Samples {
  bytes: Uint8Array;
  /** A pixel is a bit, the lowest first, or a byte that is set from `least` on. */
  bits: 1 | 8;
  least: number;
}

/** @throws Error with the reason. */
export async function parseSeg(
  data: DataSet,
  bytes: Uint8Array,
  name: string,
): Promise<Region[]> {
  const header = headerOf(data, name);
  const { rows, columns, frames: count, pixelData } = header;
  const excess = volumeExcess([columns, rows], 1);
  if (excess) throw new Error(excess);
  if (!(Number.isInteger(count) && count >= 1 && count <= LIMITS.dicomObject.frames)) {
    throw new Error(`${count} frames, at most ${LIMITS.dicomObject.frames} are accepted`);
  }
  if (count * rows * columns > LIMITS.volume.voxels) {
    throw new Error(`${count} frames of ${columns}×${rows} are more than a volume may have`);
  }
  if (!pixelData) throw new Error("no pixel data");
  const groups = itemsOf(data, "x52009230"), shared = itemOf(data, "x52009229");
  if (groups.length !== count) {
    throw new Error(`${groups.length} functional groups for ${count} frames`);
  }
  const source = await samples(data, bytes, header);
  const frames = groups.map((group, n): Frame => {
    const either = (tag: string) => itemOf(group, tag) ?? itemOf(shared, tag);
    const position = decimalsOf(either("x00209113"), "x00200032", 3);
    const orientation = decimalsOf(either("x00209116"), "x00200037", 6);
    const spacing = decimalsOf(either("x00289110"), "x00280030", 2);
    if (!position || !orientation || !spacing) {
      throw new Error(`frame ${n + 1} has no position, orientation or spacing`);
    }
    const segment = shortOf(either("x0062000a"), "x0062000b");
    const sources = itemsOf(group, "x00089124").flatMap((item) => itemsOf(item, "x00082112"));
    return {
      segment,
      sop: sources.length === 1 ? textOf(sources[0], "x00081155") : "",
      position: position as Vec3,
      row: orientation.slice(0, 3) as Vec3,
      column: orientation.slice(3) as Vec3,
      spacing: spacing as [number, number],
      number: n,
    };
  });
  const bySegment = Map.groupBy(frames, ({ segment }) => segment);
  const described = itemsOf(data, "x00620002");
  const regions = described.map((item): Region => {
    const number = shortOf(item, "x00620004");
    return {
      name: textOf(item, "x00620005"),
      kinds: ["x0062000f", "x00620003"].map((tag) => textOf(itemOf(item, tag), "x00080104")),
      draw(grid, mask) {
        for (const frame of bySegment.get(number) ?? []) {
          const pixels = frameOf(source, frame.number, rows * columns);
          drawFrame(frame, pixels, rows, columns, grid, mask);
        }
      },
    };
  });
  const numbers = new Set(described.map((item) => shortOf(item, "x00620004")));
  const stray = frames.find(({ segment }) => !numbers.has(segment));
  if (stray) throw new Error(`a frame of segment ${stray.segment}, which is not described`);
  return regions;
}

async function samples(
  data: DataSet,
  bytes: Uint8Array,
  header: ReturnType<typeof headerOf>,
): Promise<Samples> {
  const { rows, columns, frames, bitsAllocated } = header, area = rows * columns;
  const pixelData = header.pixelData!, type = textOf(data, "x00620001").toUpperCase();
  const why = unreadable(header.transferSyntax);
  if (why) throw new Error(why);
  const isRaw = TRANSFER_SYNTAXES[header.transferSyntax].coding === "raw";
  const inFile = (need: number) => {
    const have = Math.min(pixelData.length, bytes.length - pixelData.offset);
    if (have < need) throw new Error(`truncated: ${have} of ${need} bytes of pixels`);
    return bytes.subarray(pixelData.offset, pixelData.offset + need);
  };
  if (type === "BINARY" && bitsAllocated === 1) {
    if (!isRaw) throw new Error("compressed bits: only uncompressed BINARY segments are read");
    // One bit after the other, the lowest first, across frames (PS3.5 section 8.2, annex D).
    return { bytes: inFile(Math.ceil(frames * area / 8)), bits: 1, least: 1 };
  }
  if (type !== "FRACTIONAL" && type !== "BINARY") {
    throw new Error(`SegmentationType ${type || "(none)"}: only BINARY and FRACTIONAL are read`);
  }
  if (bitsAllocated !== 8) throw new Error(`BitsAllocated ${bitsAllocated} of a ${type} segment`);
  const most = type === "BINARY" ? 1 : shortOf(data, "x0062000e");
  if (!(most >= 1 && most <= 255)) throw new Error(`MaximumFractionalValue is ${most}`);
  // At least half of the voxel, or of the certainty.
  const least = Math.ceil(most / 2);
  if (isRaw) return { bytes: inFile(frames * area), bits: 8, least };
  const out = new Uint8Array(frames * area), read = frameReader({ header, bytes });
  for (let frame = 0; frame < frames; frame++) {
    out.set(await decodePixels(read(frame)), frame * area);
  }
  return { bytes: out, bits: 8, least };
}

/** A frame's pixels as 0 and 1, or null where none is set. */
function frameOf({ bytes, bits, least }: Samples, frame: number, area: number): Uint8Array | null {
  const out = new Uint8Array(area), from = frame * area;
  let any = false;
  if (bits === 8) {
    for (let i = 0; i < area; i++) {
      if (bytes[from + i] >= least) any = !!(out[i] = 1);
    }
    return any ? out : null;
  }
  for (let i = 0; i < area;) {
    const byte = bytes[(from + i) >> 3] >> ((from + i) & 7);
    const end = Math.min(area, i + 8 - ((from + i) & 7));
    if (byte !== 0) {
      for (let bit = 0; i + bit < end; bit++) {
        if (byte >> bit & 1) any = !!(out[i + bit] = 1);
      }
    }
    i = end;
  }
  return any ? out : null;
}

/** @throws Error where the frame's pixels are not the grid's: turned by other than a quarter, or scaled. */
function drawFrame(
  frame: Frame,
  pixels: Uint8Array | null,
  rows: number,
  columns: number,
  grid: MaskGrid,
  mask: Uint8Array,
) {
  const slice = sliceAt(grid, frame.position, frame.sop);
  if (slice === null) {
    if (!pixels) return;
    throw new Error(
      `a frame at (${frame.position.join(", ")}) mm lies on no slice of the series`,
    );
  }
  const point = (x: number, y: number) =>
    frame.position.map((v, i) =>
      v + x * frame.spacing[1] * frame.row[i] + y * frame.spacing[0] * frame.column[i]
    ) as Vec3;
  const start = onSlice(grid, slice, frame.position);
  const ends = [point(columns - 1, 0), point(0, rows - 1)].map((p) => onSlice(grid, slice, p));
  const steps = ends.map((end, n) => {
    const length = Math.max((n === 0 ? columns : rows) - 1, 1);
    return end.map((v, i) => Math.round((v - start[i]) / length));
  });
  const [along, down] = steps, from = start.map(Math.round);
  const lattice = ends.every((end, n) => {
    const length = (n === 0 ? columns : rows) - 1;
    return end.every((v, i) => Math.abs(from[i] + steps[n][i] * length - v) <= 0.5 + 1e-3);
  }) && Math.abs(along[0] * down[1] - along[1] * down[0]) === 1;
  const far = [point(columns - 1, 0), point(0, rows - 1)].some((p) => !isOn(grid, slice, p));
  if (!lattice || far) {
    throw new Error("its pixels are not those of the image: another size or direction");
  }
  if (!pixels) return;
  const base = slice * grid.rows * grid.columns;
  const step = along[1] * grid.columns + along[0];
  for (let y = 0, i = 0; y < rows; y++) {
    const tx = from[0] + y * down[0], ty = from[1] + y * down[1];
    const [first, end] = inside(tx, along[0], grid.columns, inside(ty, along[1], grid.rows));
    let at = base + ty * grid.columns + tx;
    for (let x = 0; x < columns; x++, i++, at += step) {
      if (!pixels[i]) continue;
      if (x < first || x >= end) throw new Error("it reaches beyond the image");
      mask[at] = 1;
    }
  }
}

/** Of the steps `range`, those from `start` by −1, 0 or 1 that stay within 0 … size − 1. */
function inside(
  start: number,
  by: number,
  size: number,
  [first, end]: readonly [number, number] = [0, Infinity],
): [number, number] {
  if (by === 0) return start >= 0 && start < size ? [first, end] : [0, 0];
  return by > 0
    ? [Math.max(first, -start), Math.min(end, size - start)]
    : [Math.max(first, start - size + 1), Math.min(end, start + 1)];
}
