/** What an evaluation compares, from a training run or from folders of slices. */

import { basename, join, resolve } from "node:path";
import {
  type Dataset,
  type PreparedSlice,
  prepareSlice,
  type SliceRecord,
} from "../data/dataset.ts";
import { IMAGE_LIST, readImageList } from "../data/image_list.ts";
import {
  type DataSource,
  openSources,
  parseSource,
  savedSources,
  sourceText,
} from "../data/joined.ts";
import { openFolder } from "../data/open_folder.ts";
import type { Size } from "../data/resize.ts";
import { type HuWindow, LUNG_WINDOW } from "../data/window.ts";
import type { Shard } from "../diffusion/jobs.ts";
import { loadRunModel, type WhichCheckpoint } from "../diffusion/model_folder.ts";
import { chooseScheduler, modelNotes, type SchedulerChoice } from "../diffusion/sampling_model.ts";
import { reverseSteps } from "../diffusion/scheduler.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { RowCache } from "../io/row_cache.ts";
import { readJsonObject } from "../nn/pretrained.ts";
import { runConfig } from "../train/config.ts";
import { cropsOf, phantomOf } from "../train/data.ts";
import { RUN_CONFIG_NAME } from "../train/run.ts";
import type { EvalSlice } from "./slices.ts";
import { chooseTestSet, generateFor, spread } from "./inputs.ts";

/** Told what is being done, and how much of it. */
export type Show = (what: string, done: number, total: number) => void;

export interface SourceOptions {
  /** Test slices of each class; 0: all. */
  count: number;
  seed: number;
  /** Training slices looked at for copies; 0: all. */
  trainLimit: number;
  show: Show;
  /** Take real slices whose values are no HU. */
  anyValues?: boolean;
}

export interface RunOptions extends SourceOptions {
  checkpoint: WhichCheckpoint;
  ema: boolean;
  /** Real slices; by default what the run was trained on. */
  data?: string;
  /** Guidance scales; by default the run's. */
  cfg?: number[];
  steps: number;
  scheduler: SchedulerChoice;
  batch: number;
  shard?: Shard;
  /** Folder for generated slices until the report is written. */
  parts: string;
}

export interface FolderOptions extends SourceOptions {
  /** Size to score at; by default that of the first generated slice. */
  size?: Size;
}

/** Sets of generated slices, and the real ones that they are compared with. */
export interface Source {
  about: [key: string, value: string][];
  warnings: string[];
  epoch: number | null;
  size: Size;
  window: HuWindow;
  sets: {
    name: string;
    cfgScale: number | null;
    generated: EvalSlice[];
    partners: EvalSlice[] | null;
  }[];
  real: PreparedSlice[];
  /** Real slices that the model, and so the classifier, was not trained on. */
  heldOut: PreparedSlice[];
  train: PreparedSlice[];
  /** How many slices were generated now, and how many had been before. */
  made: number;
  found: number;
  /** Removes the generated slices kept for the report. */
  discard: () => Promise<void>;
}

/** Slices of records, at most `limit` of them (0: all), evenly chosen. */
async function prepare(
  records: readonly SliceRecord[],
  load: (record: SliceRecord) => Promise<PreparedSlice>,
  show: Show,
  what: string,
  limit = 0,
): Promise<PreparedSlice[]> {
  const chosen = spread(records, limit);
  const slices: PreparedSlice[] = [];
  for (const [i, record] of chosen.entries()) {
    // The class map, a plane of one value, is not needed here, and there may be thousands.
    slices.push({ ...await load(record), classMap: new Float32Array(0) });
    show(what, i + 1, chosen.length);
  }
  return slices;
}

/** Without the slices whose lungs are lost at this size: all would be perfect in no pixel. */
function withLungs(slices: PreparedSlice[], { height, width }: Size, notes: string[]) {
  const kept = slices.filter(({ lungMask }) => lungMask.includes(1));
  const lost = slices.length - kept.length;
  if (kept.length === 0) {
    throw new InputError(`Cannot score: no test slice has a lung left at ${height}×${width}`);
  }
  if (lost) {
    notes.push(
      `${lost} of ${slices.length} test slices have no lung left at ${height}×${width}: not scored`,
    );
  }
  return kept;
}

/** Epochs that a checkpoint has behind it; null where its state does not say. */
async function epochOf(checkpoint: string): Promise<number | null> {
  const state = await readJsonObject(join(checkpoint, "state.json")).catch(() => undefined);
  const sampler = state?.sampler as Record<string, number> | undefined;
  if (!sampler) return null;
  const { epoch, batch, batchSize, positives, negatives } = sampler;
  const batches = Math.max(1, Math.floor(2 * Math.min(positives, negatives) / batchSize));
  const done = Math.floor(epoch + batch / batches);
  return Number.isFinite(done) ? done : null;
}

/** Generates for a run's test set (or a shard of it) at every guidance scale. */
export async function runSource(gpu: Gpu, run: string, options: RunOptions): Promise<Source> {
  const { count, seed, shard, show } = options;
  const { data: saved, ...raw } = await readJsonObject(join(run, RUN_CONFIG_NAME));
  const config = runConfig(raw, join(run, RUN_CONFIG_NAME));
  const model = await loadRunModel(run, options.ema, options.checkpoint);
  // Before slices are read, which may take minutes: wrong settings show here.
  const steps = reverseSteps(chooseScheduler(model, options.scheduler), options.steps);
  const [height, width] = model.resolution, size = { height, width };
  const { window } = model.preparation;
  const open = async (sources: readonly DataSource[] | undefined): Promise<Dataset> =>
    await cropsOf(
      sources
        ? await openSources(
          sources,
          (folder) =>
            openFolder(folder, window, { checkHu: !(config.any_values || options.anyValues) }),
        )
        : phantomOf(config),
      config,
      (done, total) => show("patches", done, total),
    );
  const own = savedSources(saved, join(run, RUN_CONFIG_NAME));
  const given = options.data ? [parseSource(options.data)] : own;
  const folder = given?.map(sourceText).join(", ");
  const dataset = await open(given);
  const warnings = [...modelNotes(model), ...dataset.notes];
  // Copies are copies of what the run was trained on, whatever it is compared with.
  let trained = dataset;
  const isOwn = own?.length === 1 && options.data &&
    resolve(own[0].folder) === resolve(options.data);
  if (options.data && !isOwn) {
    try {
      trained = await open(own);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      warnings.push(
        `what the run was trained on cannot be read (${error.message}): copies are looked for ` +
          `among the training slices of ${options.data}`,
      );
    }
  }
  const test = chooseTestSet(dataset, count, seed);
  const load = (record: SliceRecord) => prepareSlice(record, size, window, config);
  const real = withLungs(await prepare(test.records, load, show, "test slices"), size, test.notes);
  const train = await prepare(trained.train, load, show, "training slices", options.trainLimit);
  const kept = new RowCache(options.parts);
  const sets: Source["sets"] = [], paths: string[] = [];
  let made = 0;
  for (const cfgScale of options.cfg ?? [config.cfg_scale]) {
    const generated = await generateFor(gpu, real, {
      model,
      ...size,
      steps,
      cfgScale,
      seed,
      shard,
      kept,
      batch: options.batch,
      onStep: (done, total) => show(`sampling, guidance ${cfgScale}`, done, total),
    });
    made += generated.made;
    paths.push(...generated.paths);
    const name = `guidance ${cfgScale}`;
    sets.push({ name, cfgScale, generated: generated.slices, partners: real });
  }
  const checkpoint = join(model.folder, "..");
  const step = Number(/step-(\d+)$/.exec(checkpoint)?.[1]), epoch = await epochOf(checkpoint);
  return {
    about: [
      ["Run", run],
      ["Model", `${model.folder} (step ${step}${epoch === null ? "" : `, epoch ${epoch}`})`],
      ["Data", `${folder ?? "built-in phantom"}, ${test.split} split: ${real.length} slices`],
      ["Training slices looked at", `${train.length} of ${trained.train.length}`],
      ["Sampling", `${options.scheduler}, ${options.steps} steps, seed ${seed}`],
      ["Size", `${height}×${width}, window level ${window.level} width ${window.width} HU`],
      ["Adapter", gpu.name],
    ],
    warnings: [...warnings, ...test.notes],
    epoch,
    ...{ size, window, sets, real, train, made },
    heldOut: test.split === "train" && trained === dataset ? [] : real,
    found: paths.length - made,
    discard: () => kept.remove(paths),
  };
}

/** Of which slice's mask each was made, by the images.csv (one a shard) that sample writes. */
async function maskSources(folder: string): Promise<Map<string, string>> {
  const sources = new Map<string, string>();
  for (const { name } of await Array.fromAsync(Deno.readDir(folder))) {
    if (!IMAGE_LIST.test(name)) continue;
    for (const { slice, source } of await readImageList(join(folder, name))) {
      sources.set(slice, source);
    }
  }
  return sources;
}

/** The record, whose size as loaded is noted where it is another. */
const noting = (record: SliceRecord, size: Size, sizes: Set<string>): SliceRecord => ({
  ...record,
  async load() {
    const slice = await record.load();
    if (slice.height !== size.height || slice.width !== size.width) {
      sizes.add(`${slice.height}×${slice.width}`);
    }
    return slice;
  },
});

function requireLungs(slices: readonly PreparedSlice[], folder: string): void {
  const empty = slices.find(({ lungMask }) => !lungMask.includes(1));
  if (!empty) return;
  throw new InputError(
    `Cannot score "${folder}": no lung of ${empty.id} is left at ${empty.height}×${empty.width}: ` +
      "give a larger --resolution, or leave the slice out",
  );
}

/** Slices of a folder, and those of another to compare them with. */
export async function folderSource(
  generatedFolder: string,
  realFolder: string,
  { count, seed, trainLimit, show, size: given, anyValues }: FolderOptions,
): Promise<Source> {
  const made = await openFolder(generatedFolder);
  const data = await openFolder(realFolder, LUNG_WINDOW, { checkHu: !anyValues });
  const all = ({ train, val, test }: Dataset) => [...train, ...val, ...test];
  const first = await all(made)[0]?.load();
  if (!first) throw new InputError(`${generatedFolder}: no slice to score`);
  const { height, width } = given ?? first;
  const size = { height, width };
  const resized = new Set<string>();
  const load = (record: SliceRecord) =>
    prepareSlice(noting(record, size, resized), size, LUNG_WINDOW, { antialias: true });
  const generated = await prepare(all(made), load, show, "generated slices");
  requireLungs(generated, generatedFolder);
  const byId = new Set(all(data).map(({ id }) => id));
  const madeFor = await maskSources(generatedFolder);
  const unlisted = madeFor.size ? generated.filter(({ id }) => !madeFor.has(id)) : [];
  if (unlisted.length) {
    throw new InputError(
      `Cannot score "${generatedFolder}": ${unlisted.length} of ${generated.length} slices are not in ` +
        `its images.csv, such as ${unlisted[0].id}: slices of several runs; move the others away`,
    );
  }
  const partnerIds = generated.map(({ id }) => byId.has(id) ? id : madeFor.get(id) ?? "");
  const named = partnerIds.every((id) => byId.has(id)), ids = new Set(partnerIds);
  const test = named
    ? { records: all(data).filter(({ id }) => ids.has(id)), split: "test", notes: [] as string[] }
    : chooseTestSet(data, count, seed);
  const real = await prepare(test.records, load, show, "real slices");
  requireLungs(real, realFolder);
  const realById = new Map(real.map((slice) => [slice.id, slice]));
  const partners = named ? partnerIds.map((id) => realById.get(id)!) : null;
  const others = partners?.filter(({ label }, i) => label !== generated[i].label).length;
  if (others) {
    test.notes.push(
      `${others} of ${generated.length} generated slices are of another class than the real slice ` +
        `whose mask they have`,
    );
  }
  const train = await prepare(data.train, load, show, "training slices", trainLimit);
  return {
    about: [
      ["Generated", `${generatedFolder}: ${generated.length} slices`],
      ["Real", `${realFolder}: ${real.length} slices${partners ? ", paired by mask" : ""}`],
      ["Size", `${height}×${width}`],
    ],
    warnings: [
      ...made.notes.filter((note) => !/_patients\.txt/.test(note)).map((n) => `generated: ${n}`),
      ...data.notes.map((note) => `real: ${note}`),
      ...test.notes,
      ...resized.size
        ? [`slices of ${[...resized].join(", ")} were resized to ${height}×${width}`]
        : [],
    ],
    epoch: null,
    ...{ size, real, train },
    window: LUNG_WINDOW,
    sets: [{
      name: basename(generatedFolder),
      cfgScale: null,
      generated,
      partners,
    }],
    heldOut: real,
    made: 0,
    found: generated.length,
    discard: () => Promise.resolve(),
  };
}
