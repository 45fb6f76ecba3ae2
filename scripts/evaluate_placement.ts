/** `./run evaluate --placement`: do nodules stand where they were asked for? */

import { join } from "node:path";
import { progressBar } from "../lib/cli/main.ts";
import { openSources, parseSource, savedSources, sourceText } from "../lib/data/joined.ts";
import { openFolder } from "../lib/data/open_folder.ts";
import { PHANTOM_FIELD_MM } from "../lib/data/phantom.ts";
import { loadRunModel, type WhichCheckpoint } from "../lib/diffusion/model_folder.ts";
import {
  chooseScheduler,
  modelNotes,
  type SchedulerChoice,
} from "../lib/diffusion/sampling_model.ts";
import { parsePlacement } from "../lib/diffusion/nodules.ts";
import { Sampler } from "../lib/diffusion/sampler.ts";
import { reverseSteps } from "../lib/diffusion/scheduler.ts";
import { InputError } from "../lib/errors.ts";
import { placementJson, placementRows, placementTable } from "../lib/evaluate/placement_report.ts";
import { detectorSlices, heldOut, runPlacement } from "../lib/evaluate/placement_run.ts";
import { NoduleSegmenter } from "../lib/evaluate/segmenter.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { readJsonObject } from "../lib/nn/pretrained.ts";
import { runConfig } from "../lib/train/config.ts";
import { cropsOf, phantomOf } from "../lib/train/data.ts";
import { drawGrid } from "../lib/train/grid.ts";
import { GridRows } from "../lib/train/grid_rows.ts";
import { RUN_CONFIG_NAME } from "../lib/train/run.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

export interface PlacementRequest {
  readonly run: string;
  readonly out: string;
  readonly checkpoint: WhichCheckpoint;
  readonly ema: boolean;
  readonly data?: string;
  readonly anyValues?: boolean;
  readonly cfg?: number[];
  readonly steps: number;
  readonly scheduler: SchedulerChoice;
  readonly seed: number;
  readonly batch: number;
  readonly nodules: number;
  readonly trainLimit: number;
  readonly detectorSteps: number;
  /** mm, LOW-HIGH. */
  readonly diameter?: string;
}

export async function evaluatePlacement(o: PlacementRequest): Promise<void> {
  const path = join(o.run, RUN_CONFIG_NAME);
  const { data: saved, ...raw } = await readJsonObject(path);
  const config = runConfig(raw, path);
  const model = await loadRunModel(o.run, o.ema, o.checkpoint);
  for (const note of modelNotes(model)) console.log(`note: ${note}`);
  const { preparation, resolution: [height, width] } = model;
  if (preparation.condition !== "nodule-mask") {
    throw new InputError(
      `${o.run}: this model was trained with the class alone and cannot be asked for a place: train ` +
        "one with --condition nodule-mask",
    );
  }
  const bars = new Map<string, ReturnType<typeof progressBar>>();
  const show = (what: string, done: number, total: number) => {
    let bar = bars.get(what);
    if (!bar) bars.set(what, bar = progressBar(what.padEnd(16), total));
    bar.update(done);
    if (done === total) bar.stop();
  };
  const sources = o.data ? [parseSource(o.data)] : savedSources(saved, path);
  const folder = sources?.map(sourceText).join(", ");
  const checkHu = !(config.any_values || o.anyValues);
  const dataset = await cropsOf(
    sources
      ? await openSources(sources, (dir) => openFolder(dir, preparation.window, { checkHu }))
      : phantomOf(config),
    config,
    (done, total) => show("patches", done, total),
  );
  for (const note of dataset.notes) console.log(`note: ${note}`);
  const records = heldOut(dataset);
  const sizes = o.diameter === undefined ? undefined : parsePlacement("random", o.diameter);
  const size = { height, width }, { window } = preparation;
  const gpu = await openGpu();
  const train = await detectorSlices(
    dataset.train,
    size,
    window,
    preparation,
    o.trainLimit,
    show,
  );
  const detector = await NoduleSegmenter.train(gpu, train, {
    ...size,
    steps: o.detectorSteps,
    seed: o.seed,
    onStep: (done) => show("detector", done, o.detectorSteps),
  });
  const cfgScale = o.cfg?.[0] ?? config.cfg_scale;
  const sampler = await Sampler.create(gpu, {
    config: model.config,
    layout: model.layout,
    batch: o.batch,
    ...size,
    guided: cfgScale !== 1,
    choose: await tunedChoice(gpu),
    ahead: true,
  });
  sampler.setParameters(model.params);
  const steps = reverseSteps(chooseScheduler(model, o.scheduler), o.steps);
  const result = await runPlacement(records, sampler, detector, {
    ...size,
    ...{ window, preparation, seed: o.seed, count: o.nodules, show },
    diameter: sizes?.kind === "random" ? sizes.diameter : undefined,
    fieldMm: PHANTOM_FIELD_MM,
    request: { steps, cfgScale, nullClass: model.nullClass, seed: o.seed },
  });
  sampler.destroy();
  detector.destroy();
  gpu.destroy();
  const rows = placementRows(result, o.seed);
  const about = {
    run: o.run,
    model: model.folder,
    data: folder ?? "built-in phantom",
    held_out_slices: records.length,
    sampler: `${o.scheduler}, ${o.steps} steps, guidance ${cfgScale}, seed ${o.seed}`,
    detector: `U-Net trained on ${train.length} real training slices, ${o.detectorSteps} steps`,
    size: `${height}×${width}`,
    adapter: gpu.name,
  };
  await writeFileAtomic(join(o.out, "placement.json"), placementJson(about, rows, result));
  const grid = new GridRows();
  for (const { title, slice } of result.shown) grid.add(title, slice.ct, slice, true);
  const picture = drawGrid(grid.list(), height, width, "generated; nodules asked for outlined");
  await writeFileAtomic(join(o.out, "placement.png"), picture.toPng());
  for (const note of result.notes) console.log(`note: ${note}`);
  console.log(`\n${placementTable(rows)}\n`);
  console.log(`${join(o.out, "placement.json")}, placement.png`);
}
