/** From a sampled file back to the run: what its text and the record beside it say, checked. */

import { createHash } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { isSealed } from "../train/checkpoint.ts";
import { PROVENANCE_NAME } from "../train/provenance_file.ts";
import { loadRunModel } from "../diffusion/model_folder.ts";
import {
  SAMPLE_RECORD,
  type SampleRecord,
  sumOf,
  weightsHash,
} from "../diffusion/sample_record.ts";
import { InputError } from "../errors.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { readFileBounded } from "../io/read.ts";
import { decodePng } from "../io/png.ts";
import { readJsonObject } from "../nn/pretrained.ts";
import { asOf, type Verdict } from "./provenance.ts";

const MOST_BYTES = LIMITS.volume.bytes;
const hashOf = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** What the file itself says. */
async function textOf(path: string, bytes: Uint8Array): Promise<Record<string, string>> {
  if (/\.png$/i.test(path)) return (await decodePng(bytes, path)).text ?? {};
  if (!/\.dcm$/i.test(path)) return {};
  // Contribution Description (0018,A003) of the Contributing Equipment Sequence.
  const said = new TextDecoder("latin1").decode(bytes);
  const found: Record<string, string> = {};
  const provenance = /Provenance \(SHA-256 of provenance\.json\): ([0-9a-f]{64})\./.exec(said);
  const run = / Run: ([0-9a-f]{64})\./.exec(said);
  if (provenance) found.Provenance = provenance[1];
  if (run) found.Run = run[1];
  return found;
}

interface Found {
  readonly record: Partial<SampleRecord> & Record<string, unknown>;
  /** What the list of hashes has of the file. */
  readonly hash: string;
  /** Whether the list is that of the record. */
  readonly isListed: boolean;
}

/** The record in the file's folder, or the one above, whose list has the file. */
async function recordOf(path: string): Promise<Found | undefined> {
  const folder = dirname(path), name = basename(path);
  for (const [place, below] of [[folder, name], [dirname(folder), `${basename(folder)}/${name}`]]) {
    const entries = await Array.fromAsync(Deno.readDir(place)).catch(() => []);
    for (const { name } of entries) {
      if (!name.startsWith(SAMPLE_RECORD) || !name.endsWith(".json")) continue;
      const record = await readJsonObject(join(place, name));
      // A name of this form, and no path.
      if (!/^SHA256SUMS[\w-]*\.txt$/.test(String(record.files))) continue;
      const list = await readFileBounded(join(place, String(record.files)), LIMITS.sums.bytes);
      const hash = sumOf(new TextDecoder().decode(list), below);
      if (hash !== undefined) return { record, hash, isListed: hashOf(list) === record.sums };
    }
  }
}

/**
 * Checks a file that `sample` wrote against the record beside it, its own text, and the run.
 *
 * @throws InputError where neither the file nor a record says anything.
 */
export async function verifyOutputs(path: string, run: string): Promise<Verdict> {
  const problems: string[] = [], notes: string[] = [], name = basename(path);
  const bytes = await readFileBounded(path, MOST_BYTES);
  const text = await textOf(path, bytes).catch((error) => {
    problems.push(error instanceof Error ? error.message : String(error));
    return {} as Record<string, string>;
  });
  const found = await recordOf(path);
  if (!found && Object.keys(text).length === 0 && problems.length === 0) {
    throw new InputError(
      `${path}: nothing says where it comes from: no text in it, no ${SAMPLE_RECORD}.json beside it`,
    );
  }
  const said: Partial<SampleRecord> = found?.record ?? {};
  if (found) {
    const { record, hash, isListed } = found;
    if (record.digest === undefined || !isSealed(record)) {
      problems.push(`${SAMPLE_RECORD}.json was changed: its digest is another one`);
    }
    if (!isListed) {
      problems.push(`${record.files} was changed: ${SAMPLE_RECORD}.json says its hash`);
    }
    const now = hashOf(bytes);
    if (now !== hash) {
      problems.push(`${name} has SHA-256 ${now.slice(0, 16)}…, it was written with another`);
    }
  } else notes.push(`no ${SAMPLE_RECORD}.json lists ${name}: only its own text is compared`);
  for (
    const [key, of] of [["Run", "run"], ["Provenance", "provenance"], [
      "Weights",
      "weights",
    ]] as const
  ) {
    if (found && text[key] !== undefined && text[key] !== said[of]) {
      problems.push(`${name}: its ${key} is not that of ${SAMPLE_RECORD}.json`);
    }
  }
  const provenance = said.provenance ?? text.Provenance;
  if (!provenance) problems.push(`${name} was not sampled from a run`);
  else if (!await isOfRun(run, provenance)) {
    problems.push(`${name} is of another run, or of ${PROVENANCE_NAME} before it was changed`);
  }
  const weights = said.weights ?? text.Weights;
  if (weights !== undefined) await compareWeights(run, weights, said.checkpoint, problems, notes);
  return { problems, notes };
}

/** Whether the hash is of the run's provenance.json now, or before later sessions of the run. */
async function isOfRun(run: string, hash: string): Promise<boolean> {
  const path = join(run, PROVENANCE_NAME), bytes = await readFileBounded(path, LIMITS.json.bytes);
  if (hashOf(bytes) === hash) return true;
  const record = parseJsonFile(bytes, path) as Parameters<typeof asOf>[0];
  if (!Array.isArray(record?.sessions)) return false;
  return record.sessions.some((_, i) =>
    hashOf(JSON.stringify(asOf(record, i), null, 2) + "\n") === hash
  );
}

async function compareWeights(
  run: string,
  weights: string,
  checkpoint: string | undefined,
  problems: string[],
  notes: string[],
): Promise<void> {
  const [, step, part] = /^step-(\d+)\/(unet|unet_ema)$/.exec(checkpoint ?? "") ?? [];
  if (!step) {
    notes.push("which checkpoint it is of is not said: its weights are not compared");
    return;
  }
  const folder = await Deno.stat(join(run, "checkpoints", `step-${step}`)).catch(() => null);
  if (!folder) {
    notes.push(`the checkpoint of step ${Number(step)} is no longer there: weights not compared`);
    return;
  }
  try {
    const { params } = await loadRunModel(run, part === "unet_ema", Number(step));
    if (weightsHash(params) !== weights) {
      problems.push(`the weights of ${checkpoint} are not those that made it`);
    }
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
}
