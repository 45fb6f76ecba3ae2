/** `sample_provenance.json` beside sampled images: what made them, and the SHA-256 of each file. */

import { createHash } from "node:crypto";
import { relative } from "node:path";
import { writeFileAtomic } from "../io/atomic.ts";
import { canonical } from "../plan/hash.ts";

export const SAMPLE_RECORD = "sample_provenance";

export interface SampleRecord {
  readonly version: 1;
  /** Stands for weights and settings; the text of the pictures has it, too. */
  readonly run: string;
  /** SHA-256 of the training run's provenance.json; null of a model from elsewhere. */
  readonly provenance: string | null;
  /** `step-00000400/unet_ema`: where the weights came from, without the folders above. */
  readonly checkpoint: string;
  /** SHA-256 of the weights as they are loaded: float32, one tensor after the other. */
  readonly weights: string;
  /** Options that change the images, but for paths. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly commit: string | null;
  readonly adapter: string;
  /** SHA-256 of the sampling step's Plan. */
  readonly plan: string;
  readonly deno: string;
  /** Name below the folder → SHA-256. */
  readonly files: Readonly<Record<string, string>>;
}

/** SHA-256 of weights in memory. */
export const weightsHash = (params: Float32Array<ArrayBuffer>): string =>
  createHash("sha256").update(new Uint8Array(params.buffer, params.byteOffset, params.byteLength))
    .digest("hex");

/** The last two folders of a path: of a checkpoint, step and part. */
export const shortFolder = (folder: string): string =>
  folder.split(/[\\/]/).filter(Boolean).slice(-2).join("/");

/** With the SHA-256 of its own content, keys sorted. */
export function sealedRecord(record: SampleRecord): SampleRecord & { readonly digest: string } {
  const digest = createHash("sha256").update(canonical(record)).digest("hex");
  return { ...record, digest };
}

/** Writes the record of the files at `paths`, which lie below `out`, to `path`. */
export async function writeSampleRecord(
  path: string,
  out: string,
  paths: readonly string[],
  record: Omit<SampleRecord, "version" | "files">,
): Promise<void> {
  const hashes: Record<string, string> = {};
  for (const written of [...paths].sort()) {
    const name = relative(out, written).replaceAll("\\", "/");
    hashes[name] = createHash("sha256").update(await Deno.readFile(written)).digest("hex");
  }
  const whole = sealedRecord({ version: 1, ...record, files: hashes });
  await writeFileAtomic(path, JSON.stringify(whole, null, 2) + "\n");
}
