/** From an inpainting to images: part after part through the sampler, pasted into the slice. */

import { cutPlane, cutSlice, type Window } from "../data/crops.ts";
import { squaredDistance } from "../data/lung/morphology.ts";
import { type LoadedSlice, type PreparedSlice, prepareSlice } from "../data/dataset.ts";
import { resizeArea, resizeBilinear, type Size } from "../data/resize.ts";
import { unwindowHu } from "../data/window.ts";
import type { GenerateOptions } from "./generate.ts";
import type { Inpainting, InpaintPart } from "./inpaint.ts";
import type { SamplingJob } from "./jobs.ts";
import type { Sampler } from "./sampler.ts";
import type { SlicePreparation } from "./sampling_model.ts";

export interface InpaintOptions extends Omit<GenerateOptions, "condition" | "classAt"> {
  readonly preparation: SlicePreparation;
  /** How often a step is taken. */
  readonly resample?: number;
}

export interface Inpainted {
  /** The whole slice, at its own size: outside the regions the very numbers that were read. */
  readonly hu: Float32Array;
  /** 0 or 1: nodules of the slice outside the regions, and those made. */
  readonly noduleMask: Uint8Array;
  /** What the model made of each part, as it sees it. */
  readonly views: { readonly image: Float32Array; readonly slice: PreparedSlice }[];
}

/** Images of the parts of one slice are numbered apart by this: above any number of variants. */
const PART = 2 ** 24;

/** The slice as it stands while its parts are made. */
interface State {
  readonly slice: LoadedSlice;
  readonly parts: readonly InpaintPart[];
  readonly views: Inpainted["views"];
}

/** Makes all jobs' variants, in order. A later part sees what earlier ones left. */
export async function inpaint(
  sampler: Sampler,
  inpainting: Inpainting,
  jobs: readonly SamplingJob[],
  options: InpaintOptions,
  take: (job: SamplingJob, made: Inpainted) => Promise<void>,
): Promise<void> {
  const { batch } = sampler.options, { slice } = inpainting;
  const { preparation, resample, watch, onStep, ...request } = options;
  const rounds = Math.ceil(jobs.length / batch), partCount = inpainting.partsOf(0).length;
  const total = rounds * partCount * request.steps.length;
  for (let round = 0, done = 0; round < rounds; round++) {
    // The last batch is filled up with its own last job; what is too much is dropped.
    const now = Array.from(
      { length: batch },
      (_, i) => jobs[Math.min(round * batch + i, jobs.length - 1)],
    );
    const states = now.map((job): State => ({
      slice: { ...slice, ct: slice.ct.slice(), noduleMask: slice.noduleMask.slice() },
      parts: inpainting.partsOf(job.number),
      views: [],
    }));
    for (let p = 0; p < partCount; p++, done += request.steps.length) {
      states.forEach((state, i) => askFor(state.slice, state.parts[p], now[i].classValue > 0.5));
      const seen = await Promise.all(
        states.map((state) =>
          view(inpainting.id, state.slice, state.parts[p], sampler, preparation)
        ),
      );
      const joined = (planes: Float32Array[]) => {
        const all = new Float32Array(batch * planes[0].length);
        planes.forEach((plane, i) => all.set(plane, i * plane.length));
        return all;
      };
      const isPlaced = preparation.condition === "nodule-mask";
      const result = await sampler.sample({
        ...request,
        lungMask: joined(seen.map((s) => s.lungMask)),
        classes: now.map((job) => job.classValue),
        classMap: isPlaced ? joined(seen.map((s) => s.noduleMask)) : undefined,
        images: now.map((job) => p * PART + job.number),
        keep: {
          known: joined(seen.map((s) => s.ct)),
          region: joined(states.map(({ parts }) => regionPlane(parts[p], sampler.options))),
          resample,
        },
        watch: round === 0 && p === 0 ? watch : undefined,
        onStep: (step) => onStep(done + step, total),
      });
      states.forEach((state, i) => {
        const pixels = result.length / batch;
        const image = result.slice(i * pixels, (i + 1) * pixels);
        paste(state.slice, state.parts[p], image, sampler.options, preparation);
        state.views.push({ image, slice: seen[i] });
      });
    }
    const kept = Math.min(batch, jobs.length - round * batch);
    for (let i = 0; i < kept; i++) {
      const { slice: { ct: hu, noduleMask }, views } = states[i];
      await take(now[i], { hu, noduleMask, views });
    }
  }
}

/** The part as the network takes it. */
async function view(
  id: string,
  slice: LoadedSlice,
  { window }: Pick<InpaintPart, "window">,
  { options }: Pick<Sampler, "options">,
  preparation: SlicePreparation,
): Promise<PreparedSlice> {
  const load = () => Promise.resolve(cutSlice(slice, window));
  const record = { id, patient: id, label: 1 as const, load };
  const { height, width } = options;
  return await prepareSlice(record, { height, width }, preparation.window, preparation);
}

/** The slice before anything is made, its region in the nodules' place: to show. */
export async function originalViews(
  inpainting: Inpainting,
  sampler: Sampler,
  preparation: SlicePreparation,
): Promise<PreparedSlice[]> {
  const { id, slice } = inpainting;
  return await Promise.all(
    inpainting.partsOf(0).map(async (part) => ({
      ...await view(id, slice, part, sampler, preparation),
      noduleMask: regionPlane(part, sampler.options),
    })),
  );
}

/** 1 where the model's pixel touches the region. */
function regionPlane({ region, window }: InpaintPart, size: Size): Float32Array {
  return resizeArea(region, window, size).map((v) => v > 0 ? 1 : 0);
}

/** Notes the nodules of a part in the slice's mask; what was in the region goes with it. */
function askFor(slice: LoadedSlice, { window, region, nodules }: InpaintPart, isNodule: boolean) {
  const own = cutPlane(slice.noduleMask, slice.width, window);
  inWindow(slice, window, (at, i) => {
    slice.noduleMask[at] = region[i] ? (isNodule ? nodules[i] : 0) : own[i];
  });
}

/**
 * Share of the model's image in each pixel of a window: 1 in what was asked for, from there falling
 * with distance to 0 beyond the region. Lung that is denser or thinner than what the model learned
 * from would otherwise end in a rim.
 */
export function shareOf({ window, region, nodules }: InpaintPart): Float32Array {
  const { height, width } = window;
  const to = (mask: Uint8Array) => squaredDistance(mask, height, width, [1, 1]);
  const inner = to(nodules), outer = to(region.map((v) => 1 - v));
  return Float32Array.from(region, (v, i) => {
    if (!v || nodules[i]) return v;
    const [a, b] = [Math.sqrt(inner[i]), Math.sqrt(outer[i])];
    return b === Infinity ? 1 : b / (a + b);
  });
}

/** Writes the model's image over the region, at the slice's own size. */
function paste(
  slice: LoadedSlice,
  part: InpaintPart,
  image: Float32Array,
  size: Size,
  preparation: SlicePreparation,
) {
  const { window } = part, share = shareOf(part);
  const same = window.height === size.height && window.width === size.width;
  const full = same ? image : resizeBilinear(image, size, window);
  const hu = unwindowHu(full, preparation.window);
  inWindow(slice, window, (at, i) => {
    if (share[i]) slice.ct[at] += share[i] * (hu[i] - slice.ct[at]);
  });
}

/** Calls `use` for each pixel of a window with its place in the slice and in the window. */
function inWindow({ width }: Size, window: Window, use: (at: number, i: number) => void): void {
  for (let y = 0, i = 0; y < window.height; y++) {
    for (let x = 0; x < window.width; x++, i++) use((window.y + y) * width + window.x + x, i);
  }
}
