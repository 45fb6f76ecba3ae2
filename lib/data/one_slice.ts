/** One CT slice from a file of any kind, exactly as it is, with what is known of its geometry. */

import { dirname, join, resolve } from "node:path";
import { InputError } from "../errors.ts";
import { readNpy } from "../io/npy_file.ts";
import { rejection } from "./dicom/accept.ts";
import { decodePixels } from "./dicom/pixels.ts";
import { readWhole } from "./dicom/read_header.ts";
import { spacingOf, type Vec3 } from "./geometry.ts";
import { manifestSpacings, type PixelSpacing } from "./spacing.ts";
import { readVolume, VOLUME_ENDING } from "./volume.ts";

/** How a DICOM slice stores its values: HU = stored · slope + intercept. */
export interface StoredPixels {
  readonly values: Int16Array | Uint16Array;
  readonly slope: number;
  readonly intercept: number;
}

export interface OneSlice {
  readonly kind: "npy" | "volume" | "dicom";
  /** HU as the file has them, not clamped; of volumes rounded. */
  readonly hu: Float32Array;
  readonly height: number;
  readonly width: number;
  /** Undefined where the file does not say it. */
  readonly spacing?: PixelSpacing;
  /** Where the first pixel lies, and where columns and rows run to; of DICOM and volumes. */
  readonly position?: Vec3;
  readonly row?: Vec3;
  readonly column?: Vec3;
  readonly stored?: StoredPixels;
  readonly notes: readonly string[];
}

/**
 * Reads a slice of DICOM, a volume (NIfTI and others, turned axial) or `.npy`. Of a volume `index`
 * says which, from 0; a 3-D `.npy` has its middle one without it, as everywhere here.
 *
 * @throws InputError naming the file and the reason.
 */
export async function readOneSlice(path: string, index?: number): Promise<OneSlice> {
  if (VOLUME_ENDING.test(path)) return await fromVolume(path, index);
  if (/\.npy$/i.test(path)) return await fromNpy(path, index);
  if (index !== undefined) throw new InputError(`--slice ${index}: "${path}" holds one slice`);
  return await fromDicom(path);
}

async function fromDicom(path: string): Promise<OneSlice> {
  const parsed = readWhole(path), { header } = parsed;
  const why = rejection(header);
  if (why) throw new InputError(`Cannot use "${path}": ${why}`);
  const values = await decodePixels(parsed), { slope, intercept } = header;
  return {
    kind: "dicom",
    hu: Float32Array.from(values, (v) => v * slope + intercept),
    height: header.rows,
    width: header.columns,
    spacing: header.pixelSpacing ?? undefined,
    position: header.position!,
    row: header.row!,
    column: header.column!,
    stored: { values, slope, intercept },
    notes: [],
  };
}

async function fromVolume(path: string, index?: number): Promise<OneSlice> {
  const { size: [width, height, slices], axes, origin, values, fractional } = await readVolume(
    path,
  );
  const z = chosen(path, slices, index, "; 0 is nearest the feet");
  const at = (i: number) => origin[i] + z * axes[2][i];
  const [columnStep, rowStep] = spacingOf({ axes });
  const unit = (axis: Vec3) => axis.map((v) => v / Math.hypot(...axis)) as Vec3;
  return {
    kind: "volume",
    hu: Float32Array.from(values.subarray(z * height * width, (z + 1) * height * width)),
    height,
    width,
    spacing: [rowStep, columnStep],
    position: [at(0), at(1), at(2)],
    row: unit(axes[0]),
    column: unit(axes[1]),
    notes: fractional > 0
      ? [`${path}: ${fractional} of its values are no whole numbers: all are rounded`]
      : [],
  };
}

async function fromNpy(path: string, index?: number): Promise<OneSlice> {
  const { shape, data } = await readNpy(path);
  if (shape.length !== 2 && shape.length !== 3) {
    throw new InputError(`Cannot read "${path}": 2 or 3 axes needed, found [${shape}]`);
  }
  const [height, width] = shape.slice(-2), pixels = height * width;
  const slices = shape.length === 3 ? shape[0] : 1;
  if (pixels * slices === 0) throw new InputError(`Cannot read "${path}": empty, [${shape}]`);
  const z = index === undefined ? Math.floor(slices / 2) : chosen(path, slices, index, "");
  const hu = Float32Array.from({ length: pixels }, (_, i) => Number(data[z * pixels + i]));
  const spacing = await spacingNear(path);
  return { kind: "npy", hu: finite(hu, width, path), height, width, spacing, notes: [] };
}

function chosen(path: string, slices: number, index: number | undefined, where: string): number {
  const z = index ?? (slices === 1 ? 0 : -1);
  if (Number.isInteger(z) && z >= 0 && z < slices) return z;
  throw new InputError(
    `${index === undefined ? "" : `--slice ${index}: `}"${path}" holds ${slices} slices: give ` +
      `--slice 0 to ${slices - 1}${where}`,
  );
}

function finite(hu: Float32Array, width: number, path: string): Float32Array {
  const bad = hu.findIndex((v) => !Number.isFinite(v));
  if (bad < 0) return hu;
  throw new InputError(
    `Cannot use "${path}": ${hu[bad]} at row ${Math.floor(bad / width)}, column ${bad % width}; ` +
      "CT values must be finite",
  );
}

/** A prepared folder's slices lie up to three folders below its manifest. */
async function spacingNear(path: string): Promise<PixelSpacing | undefined> {
  const file = resolve(path);
  for (let up = 0, dir = dirname(file); up < 4; up++, dir = join(dir, "..")) {
    const spacing = (await manifestSpacings(dir)).get(file);
    if (spacing) return spacing;
  }
  return undefined;
}
