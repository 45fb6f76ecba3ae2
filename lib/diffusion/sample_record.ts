/**
 * Beside sampled images: `sample_provenance.json`, what made them, and `SHA256SUMS`, the hash of each
 * file as `sha256sum -c` reads it.
 */

import { createHash } from "node:crypto";
import { basename, relative } from "node:path";
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
  /** The list of the files' hashes beside it, and the SHA-256 of that. */
  readonly files: string;
  readonly sums: string;
}

export const SUMS_NAME = "SHA256SUMS";

const hashOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

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

/** The hashes of files below a folder, each taken when the file has been written. */
export class Sums {
  readonly #lines = new Map<string, string>();

  constructor(readonly out: string) {}

  async add(...paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const name = relative(this.out, path).replaceAll("\\", "/");
      this.#lines.set(name, hashOf(await Deno.readFile(path)));
    }
  }

  /** As `sha256sum` writes them, by name. */
  toString(): string {
    return [...this.#lines].sort().map(([name, hash]) => `${hash}  ${name}\n`).join("");
  }
}

/** The hash that a list has of a file; undefined where it is not in it. */
export const sumOf = (sums: string, name: string): string | undefined =>
  sums.split("\n").find((line) => line.slice(64) === `  ${name}`)?.slice(0, 64);

/** Writes the list of hashes, then the record, to `paths` in the same folder. */
export async function writeSampleRecord(
  paths: { readonly record: string; readonly sums: string },
  sums: Sums,
  record: Omit<SampleRecord, "version" | "files" | "sums">,
): Promise<void> {
  const text = String(sums);
  await writeFileAtomic(paths.sums, text);
  const files = { files: basename(paths.sums), sums: hashOf(text) };
  const whole = sealedRecord({ version: 1, ...record, ...files });
  await writeFileAtomic(paths.record, JSON.stringify(whole, null, 2) + "\n");
}
