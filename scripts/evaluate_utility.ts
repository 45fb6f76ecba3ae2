/** `./run evaluate --utility`: does a nodule segmenter gain from synthetic slices? */

import { join, resolve } from "node:path";
import { progressBar } from "../lib/cli/main.ts";
import type { Dataset, LoadedSlice, SliceRecord } from "../lib/data/dataset.ts";
import { savedSources } from "../lib/data/joined.ts";
import { openFolder } from "../lib/data/open_folder.ts";
import { PHANTOM_FIELD_MM } from "../lib/data/phantom.ts";
import type { Size } from "../lib/data/resize.ts";
import { LUNG_WINDOW } from "../lib/data/window.ts";
import type { Shard } from "../lib/diffusion/jobs.ts";
import { loadRunModel, type WhichCheckpoint } from "../lib/diffusion/model_folder.ts";
import {
  chooseScheduler,
  modelNotes,
  type SamplingModel,
  type SchedulerChoice,
} from "../lib/diffusion/sampling_model.ts";
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { InputError } from "../lib/errors.ts";
import { heldOut } from "../lib/evaluate/placement_run.ts";
import {
  LEARNED,
  utilityJson,
  utilityPage,
  utilityRows,
  utilityTable,
} from "../lib/evaluate/utility_report.ts";
import { type PoolSlice, poolSlices, runUtility, testSlices } from "../lib/evaluate/utility_run.ts";
import { checkSynthetic, synthesise } from "../lib/evaluate/utility_synthetic.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { RowCache } from "../lib/io/row_cache.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { type RunConfig, runConfig } from "../lib/train/config.ts";
import { cropsOf, phantomOf } from "../lib/train/data.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";

export interface UtilityRequest {
  readonly run?: string;
  readonly real?: string;
  readonly data?: string;
  readonly synthetic?: string;
  readonly syntheticCount: number;
  readonly out: string;
  readonly checkpoint: WhichCheckpoint;
  readonly ema: boolean;
  readonly anyValues?: boolean;
  readonly cfg?: number[];
  readonly steps: number;
  readonly scheduler: SchedulerChoice;
  readonly seed: number;
  readonly seeds: number;
  readonly percents: number[];
  readonly patients: number;
  readonly batch: number;
  readonly detectorSteps: number;
  readonly resolution?: Size;
  readonly shard?: Shard;
}

/** Real slices, and what is known of how they came to be. */
interface Subject {
  readonly dataset: Dataset;
  readonly name: string;
  readonly size: Size;
  readonly window: typeof LUNG_WINDOW;
  readonly preparation: { readonly antialias?: boolean; readonly condition: "nodule-mask" };
  readonly model?: SamplingModel;
  readonly config?: RunConfig;
  readonly notes: string[];
  /** The run's own data, whose held-out patients it has not seen. */
  readonly isOwn?: boolean;
}

type Show = (what: string, done: number, total: number) => void;

/** A run's own data and size. */
async function ofRun(o: UtilityRequest, run: string, show: Show): Promise<Subject> {
  const path = join(run, RUN_CONFIG_NAME);
  const { data: saved, ...raw } = await readJsonObject(path);
  const config = runConfig(raw, path);
  const model = await loadRunModel(run, o.ema, o.checkpoint);
  const { preparation, resolution: [height, width] } = model, { window } = preparation;
  if (preparation.condition !== "nodule-mask") {
    throw new InputError(
      `${run}: this model was trained with the class alone and cannot say where its nodules are: ` +
        "train one with --condition nodule-mask",
    );
  }
  const own = savedSources(saved, path)?.map(({ folder }) => folder);
  if (own && own.length > 1 && !o.data) {
    throw new InputError(
      `${run} was trained on several folders (${
        own.join(", ")
      }): name the one of real slices with ` +
        "--data",
    );
  }
  const folder = o.data ?? own?.[0] ?? null;
  const open = async (folder: string | null) =>
    await cropsOf(
      folder
        ? await openFolder(folder, window, { checkHu: !(config.any_values || o.anyValues) })
        : phantomOf(config),
      config,
      (done, total) => show("patches", done, total),
    );
  const dataset = await open(folder), notes = modelNotes(model);
  const isOwn = !o.data || own?.some((one) => resolve(one) === resolve(o.data!));
  if (!isOwn) {
    notes.push(
      `--data ${o.data} is not what the run was trained on (${
        own?.join(", ") ?? "the built-in phantom"
      }): whether the model has seen its test patients cannot be checked`,
    );
  }
  return {
    ...{ dataset, window, model, config, notes, isOwn },
    name: folder ?? "built-in phantom",
    size: { height, width },
    preparation: { ...preparation, condition: "nodule-mask" },
  };
}

/** A folder's; the size is that of the first synthetic slice unless it is given. */
async function ofFolder(o: UtilityRequest, real: string, synthetic: string): Promise<Subject> {
  const checkHu = !o.anyValues;
  const dataset = await openFolder(real, LUNG_WINDOW, { checkHu });
  const { train, val, test } = await openFolder(synthetic, LUNG_WINDOW);
  const { height, width } = o.resolution ?? await [...train, ...val, ...test][0].load();
  const notes = [
    "of a folder of synthetic slices only the lung masks' patients are known, where images.csv says " +
    "them: that its generator was trained on none of the test patients is yours to know",
  ];
  const preparation = { antialias: true, condition: "nodule-mask" } as const;
  return { dataset, name: real, size: { height, width }, window: LUNG_WINDOW, preparation, notes };
}

const patientsOf = (records: readonly { patient: string }[]) =>
  new Set(records.map(({ patient }) => patient));

export async function evaluateUtility(o: UtilityRequest): Promise<void> {
  const bars = new Map<string, ReturnType<typeof progressBar>>();
  const show: Show = (what, done, total) => {
    let bar = bars.get(what);
    if (!bar) bars.set(what, bar = progressBar(what.padEnd(18), total));
    bar.update(done);
    if (done === total) bar.stop();
  };
  const subject = o.run ? await ofRun(o, o.run, show) : await ofFolder(o, o.real!, o.synthetic!);
  const { dataset, size, window, preparation, model, notes } = subject;
  const held = heldOut(dataset, "--utility");
  if (dataset.test.length === 0) {
    notes.push("there is no test split: validation patients are tested on");
  }
  // Names apart from the split: a patient in both would be a fault of the data.
  const test = patientsOf(held);
  const all = [...patientsOf(dataset.train)].sort();
  const kept = new Set(o.patients ? all.slice(0, o.patients) : all);
  const train = dataset.train.filter(({ patient }) => kept.has(patient));
  if (kept.size < all.length) {
    notes.push(
      `--patients ${o.patients}: of ${all.length} real training patients ${kept.size} count as all` +
        (o.run ? "; the generator was trained on all of them" : ""),
    );
  }
  const fieldMm = PHANTOM_FIELD_MM;
  const spacingOf = ({ spacing }: SliceRecord, { width }: LoadedSlice) =>
    spacing ? (spacing[0] + spacing[1]) / 2 : fieldMm / width;
  if (held.some(({ spacing }) => !spacing)) {
    notes.push(`spacing is not known: diameters are of slices taken as ${fieldMm} mm wide`);
  }
  if (test.size < 5) {
    notes.push(
      `${test.size} test patient${
        test.size === 1 ? "" : "s"
      }: intervals say how far seeds scatter, ` +
        "and next to nothing of other patients",
    );
  }

  const gpu = await openGpu();
  let synthetic: PoolSlice[], origin: string;
  if (o.synthetic) {
    const { train, val, test: rest } = await openFolder(o.synthetic, window);
    const records = [...train, ...val, ...rest];
    const says = await checkSynthetic(o.synthetic, records, test);
    if (!says) notes.push(`${o.synthetic} has no images.csv that says whose lung masks it has`);
    synthetic = await poolSlices(
      records,
      size,
      window,
      preparation,
      (done, total) => show("synthetic slices", done, total),
    );
    origin = o.synthetic;
  } else {
    const cfgScale = o.cfg?.[0] ?? subject.config!.cfg_scale;
    const result = await synthesise(gpu, {
      model: model!,
      dataset: { ...dataset, train },
      count: o.syntheticCount,
      steps: reverseSteps(chooseScheduler(model!, o.scheduler), o.steps),
      ...{ cfgScale, seed: o.seed, batch: o.batch, shard: o.shard, show },
      kept: new RowCache(join(o.out, "parts")),
    });
    if (result.missing) {
      console.log(
        `shard ${o.shard!.index}/${o.shard!.count}: ${result.made} slices generated; ` +
          `${result.missing} of other shards are not there yet: run the shards again to train`,
      );
      return;
    }
    synthetic = result.slices;
    origin = `${
      model!.folder
    }: ${o.scheduler}, ${o.steps} steps, guidance ${cfgScale}, seed ${o.seed}`;
  }
  const real = await poolSlices(
    train,
    size,
    window,
    preparation,
    (done, total) => show("training slices", done, total),
  );
  const tested = await testSlices(
    held,
    size,
    window,
    preparation,
    spacingOf,
    (done, total) => show("test slices", done, total),
  );
  const seeds = Array.from({ length: o.seeds }, (_, i) => o.seed + i);
  const { results, made } = await runUtility(gpu, real, synthetic, tested, {
    ...size,
    steps: o.detectorSteps,
    ...{ percents: o.percents, seeds, shard: o.shard, show },
    folder: join(o.out, "utility"),
  });
  gpu.destroy();
  if (o.shard) {
    console.log(
      `shard ${o.shard.index}/${o.shard.count}: ${made} segmenters trained, ` +
        `${results.length - made} were there; when all shards are done, run the same command ` +
        "without --shard",
    );
    return;
  }
  const few = results.find((r) =>
    r.percent > 0 && r.patients > Math.round(kept.size * r.percent / 100)
  );
  if (few) {
    notes.push(
      `${few.percent} % of ${kept.size} patients is less than a patient, or has slices of one class: ` +
        `${few.patients} were taken`,
    );
  }
  if (o.seeds === 1) notes.push("one seed: intervals are over test patients alone");
  const unlearned = results.filter(({ fit }) => fit < LEARNED).length;
  if (unlearned) {
    notes.push(
      `${unlearned} of ${results.length} segmenters have not learned their own training slices ` +
        `(Dice below ${LEARNED}): --detector-steps ${o.detectorSteps} is too few, and differences ` +
        "between them say how fast they learn",
    );
  }
  const nodules = tested.reduce((sum, slice) => sum + slice.nodules.length, 0);
  const about: [string, string][] = [
    ["Real slices", `${subject.name}: ${real.length} of ${kept.size} training patients`],
    [
      "Synthetic slices",
      `${origin}: ${synthetic.length}, ` +
      `${synthetic.filter(({ label }) => label === 1).length} with a nodule`,
    ],
    [
      "Test",
      `${dataset.test.length ? "test" : "validation"} split: ${tested.length} slices of ` +
      `${test.size} patients, ${nodules} nodules`,
    ],
    [
      "Test patients and the generator",
      subject.isOwn
        ? "held out of the run: its generator was not trained on them"
        : "not known to have been kept from the generator",
    ],
    [
      "Segmenter",
      `U-Net, ${o.detectorSteps} steps of 16 slices each, seeds ${seeds[0]} to ` +
      `${seeds.at(-1)}`,
    ],
    ["Size", `${size.height}×${size.width}, window level ${window.level} width ${window.width} HU`],
    ["Adapter", gpu.name],
  ];
  const rows = utilityRows(results, o.percents, o.seed);
  await writeFileAtomic(join(o.out, "utility.json"), utilityJson(about, notes, rows, results));
  await writeFileAtomic(join(o.out, "utility.html"), utilityPage(about, notes, rows, o.percents));
  for (const note of notes) console.log(`note: ${note}`);
  console.log(`\n${utilityTable(rows)}\n`);
  console.log(`${join(o.out, "utility.html")}, utility.json`);
}
