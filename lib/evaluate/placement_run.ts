/**
 * Asks a model for nodules of real ones' sizes at places of chance in held-out slices, and measures
 * what came, beside the real slices' own nodules.
 */

import { components3d } from "../data/lung/components.ts";
import {
  coverage,
  type Dataset,
  type LoadedSlice,
  type PreparedSlice,
  prepareSlice,
  type SliceRecord,
} from "../data/dataset.ts";
import { noduleMask } from "../data/nodule_shape.ts";
import { resizeArea, type Size } from "../data/resize.ts";
import { type HuWindow, unwindowHu } from "../data/window.ts";
import { generate } from "../diffusion/generate.ts";
import type { SamplingJob } from "../diffusion/jobs.ts";
import { type Placed, type Placement, placeNodules, withNodules } from "../diffusion/nodules.ts";
import type { Sampler, SampleRequest } from "../diffusion/sampler.ts";
import { InputError } from "../errors.ts";
import { PhiloxStream } from "../random/philox.ts";
import { spread } from "./inputs.ts";
import { measurePlacement, type NoduleMeasure, type SliceMeasure } from "./placement.ts";
import type { NoduleSegmenter, SegmenterSlice } from "./segmenter.ts";

/** What a slice is asked to show. */
export const GROUPS = ["one", "two", "three", "wall", "mediastinum", "none"] as const;
export type Group = (typeof GROUPS)[number];

/** Share of the nodules that each group has. */
const SHARES: Readonly<Record<Exclude<Group, "none">, number>> = {
  one: 0.4,
  two: 0.2,
  three: 0.2,
  wall: 0.1,
  mediastinum: 0.1,
};
const PER_SLICE: Readonly<Record<Group, number>> = {
  one: 1,
  two: 2,
  three: 3,
  wall: 1,
  mediastinum: 1,
  none: 0,
};
/** mm. */
export const SIZE_CLASSES = [[4, 8], [8, 15], [15, 30]] as const;
/** Share of real nodules from which on a detector's word is worth something. */
const GOOD_DETECTOR = 0.8;
/** Keeps the choice of slices and sizes apart from other draws with the same seed. */
const STREAM = 11 * 2 ** 40;

/** One measured slice. */
export interface MeasuredSlice extends SliceMeasure {
  readonly id: string;
  readonly group: Group | "real";
  /** mm, of each nodule. */
  readonly diameters: readonly number[];
}

export interface PlacementResult {
  readonly asked: readonly MeasuredSlice[];
  readonly real: readonly MeasuredSlice[];
  readonly notes: readonly string[];
  /** To look at: the slices of the grid, [−1, 1], and what was asked for. */
  readonly shown: readonly { readonly title: string; readonly slice: PreparedSlice }[];
}

export interface PlacementOptions extends Size {
  readonly window: HuWindow;
  readonly preparation: Parameters<typeof prepareSlice>[3];
  readonly request: Pick<SampleRequest, "steps" | "cfgScale" | "nullClass" | "seed">;
  /** Nodules asked for, over all groups. */
  readonly count: number;
  /** mm, from and to: sizes to ask for in place of the held-out nodules' own. */
  readonly diameter?: readonly [number, number];
  /** Width of a slice in mm, where it does not say its spacing. */
  readonly fieldMm: number;
  readonly seed: number;
  readonly show: (what: string, done: number, total: number) => void;
}

interface OwnNodule {
  readonly diameterMm: number;
  readonly mask: Uint8Array;
}

/** Diameter of the circle of a mask's area, and each nodule's mask: pieces that hang together. */
export function nodulesOf(slice: LoadedSlice, spacingMm: number): OwnNodule[] {
  const { height, width } = slice;
  const { labels, sizes } = components3d(slice.noduleMask, 1, height, width);
  return sizes.slice(1).map((pixels, k) => ({
    diameterMm: 2 * Math.sqrt(pixels / Math.PI) * spacingMm,
    mask: Uint8Array.from(labels, (label) => label === k + 1 ? 1 : 0),
  }));
}

const spacingOf = ({ spacing }: SliceRecord, { width }: Size, fieldMm: number): number =>
  spacing ? (spacing[0] + spacing[1]) / 2 : fieldMm / width;

/** Held-out slices: of the test split, or of the validation split. @throws InputError where there are none. */
export function heldOut(
  dataset: Pick<Dataset, "val" | "test">,
  option = "--placement",
): SliceRecord[] {
  const records = dataset.test.length ? dataset.test : dataset.val;
  if (records.length === 0) {
    throw new InputError(
      `${option} needs slices of patients that were not trained on: the data has no test and no ` +
        "validation split",
    );
  }
  return records;
}

interface Asked {
  readonly job: SamplingJob;
  readonly group: Group;
  readonly placed: Placed | undefined;
  readonly stored: LoadedSlice;
  /** mm between its pixels. */
  readonly spacing: number;
}

/** Generates and measures. */
export async function runPlacement(
  records: readonly SliceRecord[],
  sampler: Sampler,
  detector: NoduleSegmenter,
  options: PlacementOptions,
): Promise<PlacementResult> {
  const { height, width, window, preparation, fieldMm, seed, show } = options;
  const size = { height, width };
  const random = new PhiloxStream(seed, STREAM);

  // Real slices first: their nodules give the sizes to ask for.
  const real: MeasuredSlice[] = [], sizes: number[] = [];
  const prepared: { slice: PreparedSlice; own: OwnNodule[]; stored: Size }[] = [];
  for (const [i, record] of records.entries()) {
    const stored = await record.load();
    const slice = await prepareSlice(record, size, window, preparation);
    prepared.push({
      slice,
      own: nodulesOf(stored, spacingOf(record, stored, fieldMm)),
      stored: { height: stored.height, width: stored.width },
    });
    show("real slices", i + 1, records.length);
  }
  const seen = await detector.probabilities(prepared.map(({ slice }) => slice));
  for (const [i, { slice, own, stored }] of prepared.entries()) {
    const nodules = own.map(({ mask }) => coverage(resizeArea(mask, stored, size)));
    const hu = unwindowHu(slice.ct, window);
    const measure = measurePlacement({ ...slice, hu, nodules, detected: seen[i] });
    const diameters = own.map(({ diameterMm }) => diameterMm);
    real.push({ ...measure, id: slice.id, group: "real", diameters });
    sizes.push(...diameters.filter((d) => d >= SIZE_CLASSES[0][0] && d <= 30));
  }
  if (options.diameter) {
    const [low, high] = options.diameter.map(Math.log);
    sizes.length = 0;
    for (let i = 0; i < 1000; i++) sizes.push(Math.exp(random.range(low, high)));
  }
  if (sizes.length === 0) throw new InputError("--placement: no held-out slice has a nodule");

  const { asked, passedOver } = await ask(records, sizes, random, options);
  const jobs = asked.map(({ job }) => job);
  const images: { ct: Float32Array; slice: PreparedSlice }[] = [];
  await generate(sampler, jobs, {
    ...options.request,
    condition: "nodule-mask",
    onStep: (done, total) => show("sampling", done, total),
  }, (_, ct, slice) => {
    images.push({ ct, slice: { ...slice, ct } });
    return Promise.resolve();
  });
  const found = await detector.probabilities(images.map(({ slice }) => slice));
  const measured = asked.map(({ group, placed, stored, spacing, job }, i): MeasuredSlice => {
    const nodules = (placed?.nodules ?? []).map((nodule) => {
      const mask = noduleMask(nodule, stored, spacing);
      return coverage(resizeArea(mask.map((v, p) => v & stored.lungMask[p]), stored, size));
    });
    const hu = unwindowHu(images[i].ct, window);
    const measure = measurePlacement({ ...images[i].slice, hu, nodules, detected: found[i] });
    const diameters = placed?.nodules.map(({ diameterMm }) => diameterMm) ?? [];
    return { ...measure, id: job.source, group, diameters };
  });
  const own = real.flatMap(({ nodules }) => nodules);
  const share = own.filter((nodule) => nodule.found).length / own.length;
  const notes: string[] = passedOver
    ? [`${passedOver} places were passed over: no room there`]
    : [];
  if (share < GOOD_DETECTOR) {
    notes.push(
      `the detector finds ${
        Math.round(100 * share)
      } % of the real nodules: what it finds or not says ` +
        "little; train it longer (--detector-steps)",
    );
  }
  const shown = GROUPS.flatMap((group) =>
    asked.flatMap((a, i) =>
      a.group === group ? [{ title: titleOf(group), slice: images[i].slice }] : []
    )
      .slice(0, 8)
  );
  return { asked: measured, real, notes, shown };
}

const titleOf = (group: Group) =>
  group === "none"
    ? "no nodule asked for"
    : group === "wall"
    ? "on the chest wall"
    : group === "mediastinum"
    ? "near the mediastinum"
    : `${group} asked for`;

/** Which slices are to be made: each group's share of nodules, and half as many slices with none. */
async function ask(
  records: readonly SliceRecord[],
  sizes: readonly number[],
  random: PhiloxStream,
  { height, width, window, preparation, fieldMm, seed, count, show }: PlacementOptions,
): Promise<{ asked: Asked[]; passedOver: number }> {
  const size = { height, width };
  const order = random.shuffle(Uint32Array.from(records, (_, i) => i));
  const asked: Asked[] = [];
  let passedOver = 0, next = 0, done = 0;
  for (const group of GROUPS) {
    const per = PER_SLICE[group];
    const slices = group === "none"
      ? Math.ceil(count / 2)
      : Math.max(1, Math.round(count * SHARES[group] / per));
    for (let made = 0, tries = 0; made < slices; tries++) {
      if (tries > 20 * slices + 100) {
        throw new InputError(`--placement: no room for "${titleOf(group)}" in the held-out slices`);
      }
      const record = records[order[next++ % order.length]], number = next;
      const stored = await record.load();
      const diameters = Array.from({ length: per }, () => sizes[random.int(sizes.length)]);
      const spacing = spacingOf(record, stored, fieldMm);
      let placed: Placed | undefined;
      if (per > 0) {
        const placement: Placement = {
          kind: "random",
          count: per,
          diameter: [4, 30],
          diameters,
          near: group === "wall" || group === "mediastinum" ? group : undefined,
        };
        try {
          placed = placeNodules(stored, placement, spacing, seed, number, record.id);
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
          passedOver++;
          continue;
        }
      }
      const job: SamplingJob = {
        prefix: "PLACED",
        number,
        classValue: placed ? 1 : 0,
        row: titleOf(group),
        source: record.id,
        slice: async () =>
          withNodules(
            await prepareSlice(record, size, window, preparation),
            placed ? stored : size,
            placed?.mask,
          ),
      };
      asked.push({ job, group, placed, stored, spacing });
      show("places", ++done, Math.ceil(1.2 * count));
      made++;
    }
  }
  return { asked, passedOver };
}

/** Training slices for the detector. */
export async function detectorSlices(
  records: readonly SliceRecord[],
  size: Size,
  window: HuWindow,
  preparation: PlacementOptions["preparation"],
  limit: number,
  show: PlacementOptions["show"],
): Promise<SegmenterSlice[]> {
  const chosen = spread(records, limit);
  const slices: SegmenterSlice[] = [];
  for (const [i, record] of chosen.entries()) {
    const { ct, lungMask, noduleMask, label } = await prepareSlice(
      record,
      size,
      window,
      preparation,
    );
    slices.push({ ct, lungMask, noduleMask, label });
    show("training slices", i + 1, chosen.length);
  }
  return slices;
}

/** Nodules of slices by their size class. */
export function byClass(
  slices: readonly MeasuredSlice[],
  [low, high]: readonly [number, number],
): NoduleMeasure[] {
  return slices.flatMap(({ nodules, diameters }) =>
    nodules.filter((_, i) => diameters[i] >= low && (diameters[i] < high || high === 30))
  );
}
