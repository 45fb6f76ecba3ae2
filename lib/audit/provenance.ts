/** Is what a run says about itself true? Every hash is computed anew, every setting compared. */

import { basename, join } from "node:path";
import { LOCK_NAME } from "./lock.ts";
import { canonical } from "../plan/hash.ts";
import { readFileBounded } from "../io/read.ts";
import { parseJsonFile } from "../io/json.ts";
import { LIMITS } from "../io/limits.ts";
import { CONFIG_NAME, readJsonObject } from "../nn/pretrained.ts";
import {
  CHECKPOINT_FILES,
  hashOf,
  isSealed,
  listCheckpoints,
  STATE_NAME,
} from "../train/checkpoint.ts";
import { type RunConfig, runConfig } from "../train/config.ts";
import { commitOf } from "../train/provenance.ts";
import { planRecord, PROVENANCE_NAME } from "../train/provenance_file.ts";
import { RUN_CONFIG_NAME } from "../train/run.ts";
import { trainingScheduler, trainingStep } from "../train/training_step.ts";

export interface Verdict {
  /** What is not as it was written down: forged, damaged or lost. */
  readonly problems: string[];
  /** What could not be compared here, and why. */
  readonly notes: string[];
}

export interface Circumstances {
  /** Of the program that checks. */
  readonly root: URL;
  /** `datasetHash` of the data that the run names, where it is at hand. */
  readonly data?: string;
}

type Json = Record<string, unknown>;
const isObject = (v: unknown): v is Json =>
  typeof v === "object" && v !== null && !Array.isArray(v);

const show = (value: unknown) => {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
};

/** Paths of the values that differ, each with both. */
export function differences(a: unknown, b: unknown, path = ""): [string, unknown, unknown][] {
  if (canonical(a) === canonical(b)) return [];
  const below = (key: string, isIndex: boolean) =>
    isIndex ? `${path}[${key}]` : path ? `${path}.${key}` : key;
  if (isObject(a) && isObject(b)) {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].flatMap((key) => differences(a[key], b[key], below(key, false)));
  }
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    return a.flatMap((v, i) => differences(v, b[i], below(String(i), true)));
  }
  return [[path, a, b]];
}

type Kind = (value: unknown) => boolean;
const isText: Kind = (v) => typeof v === "string";
const isTextOrNull: Kind = (v) => v === null || isText(v);
const isWhole: Kind = (v) => Number.isSafeInteger(v) && Number(v) >= 0;

const RECORD: Readonly<Record<string, Kind>> = {
  version: isWhole,
  seed: (v) => typeof v === "number",
  config: isObject,
  data: isText,
  sessions: (v) => Array.isArray(v) && v.length > 0 && v.every(isObject),
};
const SESSION: Readonly<Record<string, Kind>> = {
  from_step: isWhole,
  commit: isTextOrNull,
  lock: isTextOrNull,
  plan: isText,
  shaders: isObject,
  adapter: isText,
  device: isObject,
  tuned: (v) => typeof v === "boolean",
  processes: isWhole,
  deno: isText,
  packages: isObject,
};
/** Only of sessions that began with other settings. */
const CHANGES: Kind = (v) => isObject(v) && Object.values(v).every(isObject);

/** The form of provenance.json: what is missing, unknown, or of another kind. */
function formProblems(record: Json): string[] {
  const problems: string[] = [];
  const check = (of: Json, kinds: Readonly<Record<string, Kind>>, where: string) => {
    for (const key of new Set([...Object.keys(kinds), ...Object.keys(of)])) {
      if (!Object.hasOwn(kinds, key)) problems.push(`${where}${key} is no key of it`);
      else if (!Object.hasOwn(of, key)) problems.push(`${where}${key} is missing`);
      else if (!kinds[key](of[key])) problems.push(`${where}${key} cannot be ${show(of[key])}`);
    }
  };
  check(record, RECORD, "");
  for (
    const [i, session] of (RECORD.sessions(record.sessions) ? record.sessions as Json[] : [])
      .entries()
  ) {
    check(
      session,
      { ...SESSION, ..."changes" in session && { changes: CHANGES } },
      `sessions[${i}].`,
    );
  }
  return problems;
}

/** What provenance.json said when only its first `count` sessions had begun. */
export function asOf(record: Json, count: number): Json {
  const sessions = record.sessions as Json[];
  const config: Json = { ...record.config as Json };
  let { data } = record;
  for (const { changes } of sessions.slice(count).toReversed()) {
    for (const [key, change] of Object.entries(isObject(changes) ? changes : {})) {
      const { from } = change as Json;
      if (key === "data") data = from;
      else config[key] = from;
    }
  }
  return { ...record, config, data, sessions: sessions.slice(0, count) };
}

/**
 * Checks a run's provenance.json, configuration and checkpoints against each other and against the
 * program that is here.
 *
 * @throws InputError where the run has no provenance.json.
 */
export async function verifyRun(run: string, { root, data }: Circumstances): Promise<Verdict> {
  const problems: string[] = [], notes: string[] = [];
  const path = join(run, PROVENANCE_NAME);
  const record = parseJsonFile(await readFileBounded(path, LIMITS.json.bytes), path) as Json;
  const say = (text: string) => problems.push(`${PROVENANCE_NAME}: ${text}`);
  if (!isObject(record)) return { problems: [`${PROVENANCE_NAME}: no object`], notes };
  if (record.version === 1) {
    notes.push(
      `${PROVENANCE_NAME} is of an older version, which recorded no Plan, and no copy in the ` +
        "checkpoints: only hashes of files and settings are compared",
    );
  } else {
    if (record.version !== 2) say(`version is ${show(record.version)}, there is 2`);
    formProblems(record).forEach(say);
    // What is of another form cannot be compared further.
    if (problems.length) return { problems, notes };
  }
  if (!isObject(record.config)) return { problems: [`${PROVENANCE_NAME}: no config`], notes };

  // Its own configuration file, with which the run is resumed.
  const configPath = join(run, RUN_CONFIG_NAME);
  const { data: _, ...saved } = await readJsonObject(configPath);
  let config: RunConfig | undefined;
  try {
    config = runConfig(saved, configPath);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  for (const [key, says, file] of differences(record.config, saved)) {
    say(`config.${key} is ${show(says)}, ${RUN_CONFIG_NAME} has ${show(file)}`);
  }
  if (record.seed !== (record.config as Json).seed) {
    say(`seed is ${show(record.seed)}, config.seed ${show((record.config as Json).seed)}`);
  }
  if (data === undefined) notes.push("the data set is not at hand: its hash is not compared");
  else if (record.data !== data) say("data is not the hash of the data set that is there");

  const folders = await listCheckpoints(run);
  if (folders.length === 0) {
    notes.push(
      "no checkpoint: nothing stands behind what provenance.json says of commit, adapter …",
    );
  }
  for (const folder of folders) {
    const found = await checkpointProblems(folder, record, config);
    problems.push(...found);
  }
  if (record.version === 2 && config) await comparePlan(record, config, root, say, notes);
  return { problems, notes };
}

async function checkpointProblems(
  folder: string,
  record: Json,
  config: RunConfig | undefined,
): Promise<string[]> {
  const problems: string[] = [], name = basename(folder);
  const say = (text: string) => problems.push(`${name}: ${text}`);
  let state: Json;
  try {
    state = await readJsonObject(join(folder, STATE_NAME));
  } catch (error) {
    return [`${name}: ${error instanceof Error ? error.message : error}`];
  }
  if (record.version === 2 && state.digest === undefined) say(`${STATE_NAME} has no digest`);
  if (!isSealed(state)) say(`${STATE_NAME} was changed: its digest is another one`);
  const hashes = isObject(state.sha256) ? state.sha256 : {};
  for (const file of CHECKPOINT_FILES) {
    const now = await hashOf(join(folder, file)).catch(() => "missing");
    if (now !== hashes[file]) {
      say(`${file} has SHA-256 ${now.slice(0, 16)}…, ${STATE_NAME} says ${show(hashes[file])}`);
    }
  }
  if (Number(name.replace("step-", "")) !== state.step) {
    say(`${STATE_NAME} is of step ${show(state.step)}`);
  }
  if (record.version === 1 && state.provenance !== undefined) {
    say(`made where ${PROVENANCE_NAME} had version 2, it now has 1`);
  } else if (record.version === 2) {
    const { provenance } = state;
    if (!isObject(provenance) || formProblems(provenance).length) {
      say(`${STATE_NAME} has no copy of ${PROVENANCE_NAME}`);
    } else {
      const count = (provenance.sessions as Json[]).length;
      for (const [path, now, then] of differences(asOf(record, count), provenance)) {
        say(`made where ${PROVENANCE_NAME} had ${path} ${show(then)}, it now has ${show(now)}`);
      }
      const late = (provenance.sessions as Json[]).find((s) =>
        Number(s.from_step) >= Number(state.step)
      );
      if (late && state.step !== 0) say(`a session of it begins at step ${late.from_step}`);
    }
  }
  if (!config) return problems;
  const parts: [string, Json][] = [
    ["scheduler/scheduler_config.json", trainingScheduler(config)],
    [`unet/${CONFIG_NAME}`, { ...config.unet }],
    [`unet_ema/${CONFIG_NAME}`, { ...config.unet }],
  ];
  for (const [file, settings] of parts) {
    const written = await readJsonObject(join(folder, file)).catch(() => ({} as Json));
    for (const [key, value] of Object.entries(settings)) {
      if (canonical(value) === canonical(written[key])) continue;
      say(`${file} has ${key} ${show(written[key])}, the run's configuration ${show(value)}`);
    }
  }
  return problems;
}

/** The Plan and its shaders, made anew for the device that the last session names. */
async function comparePlan(
  record: Json,
  config: RunConfig,
  root: URL,
  say: (text: string) => void,
  notes: string[],
): Promise<void> {
  const sessions = record.sessions as Json[], last = sessions.at(-1)!, at = sessions.length - 1;
  const lockPath = new URL(LOCK_NAME, root);
  const lock = await hashOf(decodeURIComponent(lockPath.pathname)).catch(() => null);
  const commit = await commitOf() ?? null;
  if (last.lock !== lock) {
    if (commit !== null && last.commit === commit) {
      say(`sessions[${at}].lock is ${show(last.lock)}, at this commit ${LOCK_NAME} has ${lock}`);
      return;
    }
    notes.push(
      `made at commit ${show(last.commit)} with another ${LOCK_NAME}: check that out to have its ` +
        "Plan compared",
    );
    return;
  }
  if (last.tuned) {
    notes.push("its kernels were chosen by measuring on that machine: the Plan is not compared");
    return;
  }
  try {
    const device = last.device as Parameters<typeof trainingStep>[1];
    const { plan } = trainingStep(config, device, Number(last.processes));
    const now = await planRecord(plan);
    if (now.plan !== last.plan) say(`sessions[${at}].plan is not the Plan of these settings`);
    for (const [path, says, is] of differences(last.shaders, now.shaders)) {
      say(`sessions[${at}].shaders.${path} is ${show(says)}, of the Plan ${show(is)}`);
    }
  } catch (error) {
    say(`sessions[${at}].device: no Plan can be made for it: ${error}`);
  }
}
