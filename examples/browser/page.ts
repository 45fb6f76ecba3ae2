/** The page: reads the controls, samples as `deno task sample` does, and draws each step. */

/// <reference lib="dom" />

import { unwindowHu } from "../../lib/data/window.ts";
import { generate } from "../../lib/diffusion/generate.ts";
import { chooseMasks, pictureJobs, placeJobs, type SamplingJob } from "../../lib/diffusion/jobs.ts";
import { Sampler } from "../../lib/diffusion/sampler.ts";
import {
  chooseScheduler,
  modelNotes,
  SCHEDULER_CHOICES,
  type SchedulerChoice,
} from "../../lib/diffusion/sampling_model.ts";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { NoGpuError } from "../../lib/errors.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { encodeNpy } from "../../lib/io/npy.ts";
import { checkImageSize } from "../../lib/nn/config.ts";
import { checkTables, planTables } from "./audit.ts";
import { fetchModel, modelFromFiles, type PageModel } from "./model.ts";
import { drawFigure, drawPlane, save } from "./view.ts";

const $ = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const canvas = (id: string) => $<HTMLCanvasElement>(id);
const button = (id: string) => $<HTMLButtonElement>(id);
const setText = (id: string, text: string) => $(id).textContent = text;

/** As many masks as `deno task sample` takes by default: the choice depends on it. */
const MASKS = 4;
/** More steps than these share a canvas of the strip. */
const STRIP_LENGTH = 100;

class Stopped extends Error {}

let page: PageModel;
let gpu: Gpu;
/** Of the last setting: guided or not. */
let sampler: Sampler | undefined;
let stopWanted = false;
let result: { job: SamplingJob; image: Float32Array; hu: Float32Array } | undefined;

function tell(error: unknown): void {
  const { message } = error as Error;
  $("message").hidden = false;
  setText("message", gpu?.isLost ? `${message}. Reload the page to go on.` : message);
  console.error(error);
}

function whyNoGpu(): string {
  if (!isSecureContext) {
    return `Browsers offer WebGPU to https:// and to this machine (127.0.0.1) alone; this page came ` +
      `from ${location.origin}.`;
  }
  return "gpu" in navigator
    ? "This browser has WebGPU, but no GPU that it can use. In Chrome and Edge, chrome://gpu says " +
      "why; on Linux, try chrome://flags/#enable-unsafe-webgpu and #enable-vulkan."
    : "This browser has no WebGPU. Chrome and Edge have it from version 113, Safari from 26, and " +
      "Firefox from 141 on Windows.";
}

async function start(): Promise<void> {
  try {
    gpu = await openGpu();
  } catch (error) {
    throw error instanceof NoGpuError ? new NoGpuError(whyNoGpu()) : error;
  }
  setText("adapter", `${gpu.name}${gpu.profile.software ? " (software: slow)" : ""}`);
  const found = await fetchModel((part) => $<HTMLProgressElement>("progress").value = part);
  $("pick").hidden = Boolean(found);
  if (found) use(found);
  else setText("model", "none beside the page");
}

function use(model: PageModel): void {
  const { config, layout, resolution: [height, width], preparation } = model.model;
  checkImageSize(config, height, width);
  if (preparation.spacing !== undefined) {
    throw new Error(`${model.name} makes patches, for --inpaint: use ./run sample`);
  }
  // A model that is told where nodules are needs no guidance.
  if (preparation.condition === "nodule-mask") {
    $<HTMLInputElement>("cfg").value = "1";
    setText("lungs-title", "the lungs, and the nodule it was asked for");
  }
  page = model;
  sampler?.destroy();
  sampler = undefined;
  setText(
    "model",
    `${model.name}: ${layout.count.toLocaleString("en")} parameters, ${height}×${width}` +
      (model.provenance ? `, provenance ${model.provenance}` : "") +
      modelNotes(model.model).map((note) => `. ${note}`).join(""),
  );
  $<HTMLFieldSetElement>("controls").disabled = button("sample").disabled = false;
  $<HTMLProgressElement>("progress").value = 0;
}

const number = (id: string) => $<HTMLInputElement>(id).valueAsNumber;
const choice = (id: string) => $<HTMLSelectElement>(id).value;

/** Nodules of a model that is told where they are: the command line's default. */
const PLACING = {
  placement: { kind: "random", count: 1, diameter: [6, 20] },
  fieldMm: 350,
} as const;
const PLACING_FLAGS = "--nodules random --diameter 6-20";

interface Settings {
  readonly seed: number;
  readonly classValue: number;
  readonly mask: number;
  readonly cfgScale: number;
  readonly scheduler: SchedulerChoice;
  readonly steps: number;
}

const settings = (): Settings => ({
  seed: number("seed"),
  classValue: Number(choice("class")),
  mask: Number(choice("mask")),
  cfgScale: number("cfg"),
  scheduler: choice("scheduler") as SchedulerChoice,
  steps: number("steps"),
});

/** Compiles the kernels, or finds that it has. */
async function samplerFor(guided: boolean): Promise<Sampler> {
  if (sampler?.options.guided === guided) return sampler;
  sampler?.destroy();
  sampler = undefined;
  const { config, layout, params, resolution: [height, width] } = page.model;
  const made = await Sampler.create(gpu, {
    ...{ config, layout, height, width, guided, batch: 1 },
    onPipeline: (done, total) => progress(done / total, `kernels: ${done} of ${total}`),
  });
  made.setParameters(params);
  $("audit").replaceChildren(...await planTables(made));
  return sampler = made;
}

function progress(part: number, text: string): void {
  $<HTMLProgressElement>("progress").value = part;
  setText("status", text);
}

async function sample(o: Settings): Promise<void> {
  const { model } = page;
  const [height, width] = model.resolution;
  const size = { height, width };
  const draw = (id: string, plane: ArrayLike<number>) =>
    drawPlane(canvas(id), plane, height, width);
  const steps = reverseSteps(chooseScheduler(model, o.scheduler), o.steps);
  const { condition } = model.preparation, isPlaced = condition === "nodule-mask";
  // As the command line: not every slice has room for a nodule.
  const chosen = chooseMasks({
    ...{ count: isPlaced ? 8 * MASKS : MASKS, seed: o.seed, size },
    preparation: model.preparation,
  });
  const masks = isPlaced ? [...new Map(chosen.map((m) => [m.record.id, m])).values()] : chosen;
  const pictures = pictureJobs(masks, [o.classValue], o.seed);
  const jobs = isPlaced
    ? (await placeJobs(pictures, masks, { ...PLACING, seed: o.seed })).jobs
    : pictures;
  const job = jobs.find((one) => one.number === o.mask);
  if (!job) throw new Error("no room for a nodule in these lungs: choose others");
  const { lungMask, noduleMask } = await job.slice();
  const asked = isPlaced ? lungMask.map((v, i) => (v + noduleMask[i]) / 2) : lungMask;
  drawPlane(canvas("lungs"), asked, height, width, [0, 1]);
  const made = await samplerFor(o.cfgScale !== 1);

  const every = Math.ceil(steps.length / STRIP_LENGTH);
  $("strip").replaceChildren();
  const show = (done: number, x: Float32Array, x0: Float32Array) => {
    const t = steps[done]?.t;
    const title = t === undefined ? "done" : `t = ${t}`;
    draw("noisy", x);
    setText("noisy-title", done ? `after step ${done}` : "noise");
    if (done) draw("clean", x0);
    if (done % every && t !== undefined) return;
    // Before the first step there is no prediction yet.
    const planes = [x, done ? x0 : new Float32Array(x.length).fill(-1)];
    $("strip").append(drawFigure(title, planes, height, width));
  };
  const started = performance.now();
  await generate(made, [job], {
    steps,
    seed: o.seed,
    cfgScale: o.cfgScale,
    nullClass: model.nullClass,
    condition,
    watch: { at: new Set([0, ...steps.map((_, i) => i + 1)]), show },
    onStep: (done, total) => {
      if (stopWanted) throw new Stopped();
      const each = (performance.now() - started) / done;
      const left = Math.round(each * (total - done) / 1000);
      const rest = done < total ? `, ${left} s to go` : "";
      progress(done / total, `step ${done} of ${total}, ${each.toFixed(0)} ms each${rest}`);
    },
  }, (_, image) => {
    result = { job, image, hu: unwindowHu(image, model.preparation.window) };
    return Promise.resolve();
  });
  $("saves").hidden = $("command").hidden = false;
  button("check").disabled = false;
  $("command").querySelector("code")!.textContent = "./run sample " +
    `--run RUN --class ${o.classValue} --seed ${o.seed} --cfg ${o.cfgScale} ` +
    `--scheduler ${o.scheduler} --steps ${o.steps}` + (isPlaced ? ` ${PLACING_FLAGS}` : "");
  $("command").querySelector("span")!.textContent = fileName(job, "npy");
}

const fileName = ({ prefix, number }: SamplingJob, extension: string) =>
  `${prefix}_slice_${number}.${extension}`;

/** Runs one thing at a time; the controls rest meanwhile. */
async function busy(work: () => Promise<void>): Promise<void> {
  $("message").hidden = true;
  const rest = ["sample", "check", "save-npy", "save-png"].map(button)
    .filter((b) => !b.disabled);
  for (const b of rest) b.disabled = true;
  $<HTMLFieldSetElement>("controls").disabled = true;
  try {
    await work();
  } catch (error) {
    if (error instanceof Stopped) setText("status", "stopped");
    else tell(error);
  } finally {
    for (const b of rest) b.disabled = false;
    $<HTMLFieldSetElement>("controls").disabled = false;
  }
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  stopWanted = false;
  button("stop").hidden = false;
  button("check").disabled = true;
  setText("check-status", "");
  busy(() => sample(settings())).finally(() => button("stop").hidden = true);
});

button("stop").addEventListener("click", () => stopWanted = true);

button("check").addEventListener("click", () =>
  busy(async () => {
    const { title, tables } = await checkTables(
      sampler!,
      (done, total) => setText("check-status", `dispatch ${done} of ${total}`),
    );
    setText("check-status", title);
    $("audit").append(...tables);
  }));

button("save-npy").addEventListener("click", () => {
  const { job, hu } = result!;
  const bytes = encodeNpy(page.model.resolution, hu);
  save(fileName(job, "npy"), new Blob([bytes]));
});

button("save-png").addEventListener("click", () => {
  const { job, image } = result!;
  const [height, width] = page.model.resolution;
  const whole = document.createElement("canvas");
  drawPlane(whole, image, height, width);
  whole.toBlob((blob) => save(fileName(job, "png"), blob!));
});

$("folder").addEventListener("change", async (event) => {
  $("message").hidden = true;
  try {
    use(await modelFromFiles((event.target as HTMLInputElement).files!));
  } catch (error) {
    tell(error);
  }
});

$("scheduler").append(...SCHEDULER_CHOICES.map((name) => new Option(name, name)));
$<HTMLSelectElement>("scheduler").value = "ddim";
start().catch(tell);
