/** Writes generated images: HU arrays in the training layout, 16-bit PNG, NIfTI, DICOM, a list. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { encodeSyntheticFile } from "../data/dicom_write/synthetic_file.ts";
import { encodeNifti } from "../data/nifti_write.ts";
import type { PixelSpacing } from "../data/spacing.ts";
import type { HuWindow } from "../data/window.ts";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import { csvText } from "../io/csv.ts";
import { writeNpy } from "../io/npy_file.ts";
import { encodePng } from "../io/png.ts";
import type { Inpainting } from "./inpaint.ts";
import type { JobNodules, SamplingJob, Shard } from "./jobs.ts";

export const FORMATS = ["npy", "png16", "nifti", "dicom"] as const;
export type Format = (typeof FORMATS)[number];

/** @throws InputError for a name that is none. */
export function parseFormats(text: string): Format[] {
  const names = text.split(",").map((name) => name.trim()).filter(Boolean);
  for (const name of names) {
    if (!(FORMATS as readonly string[]).includes(name)) {
      throw new InputError(`--format ${name}: there is ${FORMATS.join(", ")}`);
    }
  }
  return names as Format[];
}

export interface OutputOptions {
  readonly out: string;
  readonly formats: readonly Format[];
  readonly height: number;
  readonly width: number;
  /** mm from the left edge to the right one: nominal, for NIfTI and DICOM. */
  readonly fieldMm: number;
  readonly window: HuWindow;
  /** Stands for the model and all settings; the same for all shards of a run. */
  readonly run: string;
  readonly seed: number;
  /** SHA-256 of the training run's provenance.json. */
  readonly provenance?: string;
  /** SHA-256 of the weights, see `SampleRecord`. */
  readonly weights?: string;
  /** The slice that the images are but for a region: its geometry and stored pixels are kept. */
  readonly original?: Pick<Inpainting, "file" | "spacing">;
}

/** mm between rows, between columns, of an image so wide. */
function spacingOf({ original, fieldMm }: OutputOptions, width: number): PixelSpacing {
  return original?.spacing ?? [fieldMm / width, fieldMm / width];
}

/** A name for a model and its settings, told apart from any other. */
export function runName(params: Float32Array<ArrayBuffer>, settings: unknown): string {
  const hash = createHash("sha256").update(new Uint8Array(params.buffer));
  return hash.update(JSON.stringify(settings)).digest("hex");
}

const THICKNESS_MM = 1;

/**
 * Writes one image in every format that is asked for.
 *
 * @param hu [H,W]. @param lungMask 0 or 1.
 * @param noduleMask where the image is made with a nodule, or undefined where only the class says
 *   that there is one: then the whole lung stands for it, so that readers see the label.
 * @returns the files' paths.
 */
export async function writeImage(
  job: SamplingJob,
  hu: Float32Array,
  lungMask: Float32Array,
  noduleMask: Float32Array | undefined,
  options: OutputOptions,
): Promise<string[]> {
  const { out, formats, height, width, original } = options;
  const name = `${job.prefix}_slice_${job.number}`;
  const written: string[] = [];
  const at = (path: string) => {
    written.push(path);
    return path;
  };
  const path = (extension: string) => at(join(out, `${name}.${extension}`));
  const kind = original ? "CT with a synthetic region" : "synthetic CT";
  const description = `class ${job.classValue}, seed ${options.seed}`;
  if (formats.includes("npy")) {
    const npy = (kind: string) => at(join(out, `${job.prefix}_${kind}_${job.number}.npy`));
    const lungs = Uint8Array.from(lungMask);
    const nodule = noduleMask
      ? Uint8Array.from(noduleMask)
      : job.classValue > 0.5
      ? labelMask(lungs)
      : new Uint8Array(lungs.length);
    await writeNpy(npy("lung_mask"), [height, width], lungs);
    await writeNpy(npy("nodule_mask"), [height, width], nodule);
    // Last: a slice without its masks would not be usable.
    await writeNpy(path("npy"), [height, width], hu);
  }
  if (formats.includes("png16")) {
    const data = Uint16Array.from(hu, (v) => Math.min(65535, Math.max(0, Math.round(v) + 1024)));
    const text = {
      Description: `${kind}, HU + 1024; ${description}`,
      ...pictureText(options),
    };
    await writeFileAtomic(path("png"), encodePng({ width, height, channels: 1, data, text }));
  }
  const plane = {
    rows: height,
    columns: width,
    values: hu,
    pixelSpacing: spacingOf(options, width),
    thickness: THICKNESS_MM,
    origin: original?.file.position,
  };
  if (formats.includes("nifti")) {
    const bytes = encodeNifti({ ...plane, description: `${kind}; ${description}` });
    await writeFileAtomic(path("nii.gz"), bytes);
  }
  if (formats.includes("dicom")) {
    const { run, window, provenance } = options;
    const bytes = encodeSyntheticFile({
      ...{ ...plane, name, run, provenance, description, window },
      original: original?.file,
    });
    await writeFileAtomic(path("dcm"), bytes);
  }
  return written;
}

/**
 * Writes where the nodules of an image were asked for, exactly, at the size of the slice that the lung
 * mask is of: in `nodules_exact/` as .npy, .png and, with format nifti or dicom, .nii.gz over the same
 * field of view as the image, so that a DICOM SEG can be made of it.
 *
 * @returns the files' paths.
 */
export async function writeExactMask(
  job: SamplingJob,
  { mask, size: { height, width } }: Pick<JobNodules, "mask" | "size">,
  options: OutputOptions,
): Promise<string[]> {
  const { out, formats, seed, original } = options;
  const written: string[] = [];
  const path = (extension: string) => {
    const name = `${job.prefix}_nodule_exact_${job.number}.${extension}`;
    return written[written.push(join(out, "nodules_exact", name)) - 1];
  };
  await writeNpy(path("npy"), [height, width], mask);
  const white = mask.map((v) => 255 * v);
  await writeFileAtomic(path("png"), encodePng({ width, height, channels: 1, data: white }));
  if (!formats.includes("nifti") && !formats.includes("dicom")) return written;
  const bytes = encodeNifti({
    rows: height,
    columns: width,
    values: Float32Array.from(mask),
    pixelSpacing: spacingOf(options, width),
    origin: original?.file.position,
    thickness: THICKNESS_MM,
    description: `nodules asked for; seed ${seed}`,
  });
  await writeFileAtomic(path("nii.gz"), bytes);
  return written;
}

/** What a picture's text says about where it comes from. */
export function pictureText(
  { run, provenance, weights }: Pick<OutputOptions, "run" | "provenance" | "weights">,
): Record<string, string> {
  return {
    Run: run,
    ...(provenance && { Provenance: provenance }),
    ...(weights && { Weights: weights }),
  };
}

/** The lungs, or everything where there are none: never too small to make the slice positive. */
function labelMask(lungs: Uint8Array): Uint8Array {
  return lungs.includes(1) ? lungs : new Uint8Array(lungs.length).fill(1);
}

/** `name.ext`, or of a shard `name-i-of-n.ext`, so that shards can share a folder. */
export function shardFile(name: string, extension: string, shard?: Shard): string {
  return shard ? `${name}-${shard.index}-of-${shard.count}.${extension}` : `${name}.${extension}`;
}

/** Names of slices in `out` that none of `jobs` writes: what an earlier run left there. */
export async function otherSlices(out: string, jobs: readonly SamplingJob[]): Promise<string[]> {
  const own = new Set(jobs.map((job) => `${job.prefix}_slice_${job.number}`));
  const found = new Set<string>();
  try {
    for await (const { name } of Deno.readDir(out)) {
      const slice = /^(.+_slice_[^_.]+)\.(npy|png|nii\.gz|dcm)$/.exec(name)?.[1];
      if (slice && !own.has(slice)) found.add(slice);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return [...found].sort();
}

/** `x,y,mm shape; …` in pixels of the slice that the lung mask is of. */
const describeNodules = ({ placed }: SamplingJob): string =>
  placed
    ? placed.nodules.map((n) => `${n.x},${n.y},${n.diameterMm} ${n.shape}`).join("; ") || "own"
    : "";

/** What each image is, a line an image. */
export async function writeList(
  path: string,
  jobs: readonly SamplingJob[],
  seed: number,
): Promise<void> {
  const rows = jobs.map((job) =>
    [
      csvText(`${job.prefix}_slice_${job.number}`),
      ...[job.classValue, seed, job.number],
      csvText(job.source),
      csvText(describeNodules(job)),
    ].join(",")
  );
  await writeFileAtomic(
    path,
    ["slice,class,seed,noise,lung_mask_of,nodules", ...rows].join("\n") + "\n",
  );
}
