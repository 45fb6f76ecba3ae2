/** `deno task bench`: how fast kernels and whole steps are, beside what the device and others can. */

import { cpus } from "node:os";
import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { table } from "../lib/audit/text.ts";
import { benchFeatures } from "../lib/bench/features.ts";
import { type FirstStep, firstStep, type FirstSteps } from "../lib/bench/first_step.ts";
import { abovePeak, benchKernels, kernelsAbovePeak } from "../lib/bench/kernels.ts";
import { benchModel } from "../lib/bench/model.ts";
import { benchPage } from "../lib/bench/page.ts";
import { benchPeers } from "../lib/bench/peers.ts";
import { higherPeaks, measurePeaks } from "../lib/bench/peaks.ts";
import { featurePeer, peerSpecs } from "../lib/bench/programs.ts";
import type { BenchReport } from "../lib/bench/report.ts";
import { Budget } from "../lib/bench/statistics.ts";
import {
  benchMarkdown,
  benchTables,
  featureMarkdown,
  featureTable,
  replaceMeasured,
} from "../lib/bench/tables.ts";
import {
  newCommand,
  numberIn,
  precisionOption,
  refuseGiven,
  refuseOthers,
  wholeIn,
} from "../lib/cli/command.ts";
import { main, parseArguments, type Progress, progressBar } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { openGpu, requirePrecision } from "../lib/gpu/device.ts";
import type { Precision } from "../lib/graph/tensor.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

const numbers = (text: string) => {
  const values = text.split(",").map(Number);
  if (values.every((v) => Number.isInteger(v) && v > 0 && v <= 4096)) return values;
  throw new InvalidArgumentError("It must be whole numbers with commas between, such as 1,8.");
};

const program = newCommand(
  "bench",
  "Measures kernels, whole steps, and other programs beside them.",
)
  .option(
    "--kernels",
    "every kernel of the seed preset's training step, and 3×3 convolutions alone",
  )
  .option("--model", "training and sampling steps over batches and sizes, and first steps")
  .option(
    "--peers",
    "PyTorch, jax-js, TensorFlow.js and onnxruntime-web in the same run, taking turns",
  )
  .option("--features", "Inception features of 256 slices beside PyTorch, alone")
  .option("--batches <list>", "batches of --model", numbers, [1, 2, 4, 8, 16])
  .option("--sizes <list>", "image sizes of --model", numbers, [32, 64, 128, 256])
  .option("--batch <n>", "batch of --kernels", wholeIn(1, 64), 8)
  .option("--size <n>", "image size of --kernels and --peers", wholeIn(16, 512), 128)
  .addOption(precisionOption("in --kernels; --model shows both"))
  .option("--budget <seconds>", "time for all, shared among the parts", numberIn(5, 86400), 600)
  .option("--exact", "only variants that sum as written")
  .option("--untuned", "variants in the order shipped, whatever `./run tune` stored")
  .option("--no-compile", "leave out torch.compile")
  .option("--python <command>", "Python with torch and diffusers", "python3")
  .option("--json <file>", "write all figures")
  .option("--html <file>", "write a page with drawings", "out/bench.html")
  .option("--markdown <file>", "put the tables between the markers of a Markdown file")
  .option("--first-step <preset,batch,size>", "what a process of its own is asked; not for people")
  .addHelpText(
    "after",
    `
This is the whole report. One kernel, one shape, two results, an edited kernel: \`./run bench kernels\`,
\`compare\`, \`ab\`, \`wgsl\`, \`steps\`, \`submit\`, each with --help (docs/benchmarking.md).

Without --kernels, --model or --peers: --kernels and --model. Kernels are checked against float64
before anything is timed, and one that would be faster than the measured peak ends the run.

Examples:
  ./run bench --kernels
  ./run bench --model --batches 1,8 --sizes 128 --json out/bench.json
  ./run bench --kernels --model --peers --budget 660 --markdown docs/benchmarks.md
  ./run bench --features --markdown docs/benchmarks.md`,
  );

await main(async () => {
  parseArguments(program);
  const options = program.opts<Options>();
  if (options.firstStep) return await printFirstStep(options.firstStep);
  if (options.features) {
    const own = ["features", "python", "json", "markdown"];
    refuseOthers(program, own, "not with --features, which is alone and of fixed size");
    return await runFeatures(options);
  }
  if (!options.kernels && !options.model && !options.peers) options.kernels = options.model = true;
  const refuse = (isIdle: boolean, flags: string, ...names: string[]) =>
    isIdle && refuseGiven(program, names, `goes with ${flags}`);
  refuse(!options.model, "--model", "batches", "sizes");
  refuse(!options.kernels, "--kernels", "batch", "precision");
  refuse(!options.kernels && !options.peers, "--kernels or --peers", "size");
  refuse(!options.peers, "--peers", "compile", "python");
  const markdown = options.markdown && resolve(options.markdown);
  if (markdown) checkMarkers(markdown);
  for (const size of [options.size, ...options.sizes]) {
    if (size % 4) throw new InputError(`--sizes ${size}: the seed model needs multiples of 4`);
  }

  const started = performance.now();
  const gpu = await openGpu();
  requirePrecision(options.precision, gpu);
  if (!gpu.profile.features.includes("timestamp-query")) {
    throw new InputError("the device has no timestamp queries: nothing can be timed");
  }
  const choose = options.untuned ? undefined : await tunedChoice(gpu);
  const planOptions = { device: gpu.profile, exact: Boolean(options.exact), choose };
  const budget = new Budget(options.budget);
  let peaks = await measurePeaks(gpu);

  const kernels = options.kernels
    ? await withBar(
      (show) =>
        benchKernels(
          gpu,
          planOptions,
          budget.part(options.model || options.peers ? 0.3 : 1),
          {
            batch: options.batch,
            size: options.size,
            precision: options.precision,
            onProgress: show,
          },
        ),
    )
    : undefined;
  peaks = higherPeaks(peaks, await measurePeaks(gpu));
  const peers = options.peers ? await runPeers(gpu, planOptions, budget, options) : undefined;
  const firstSteps = options.model ? await runFirstSteps(budget.part(0.4)) : undefined;
  const model = options.model
    ? await withBar((show) =>
      benchModel(gpu, planOptions, budget, {
        batches: options.batches,
        sizes: options.sizes,
        onProgress: show,
      })
    )
    : undefined;
  peaks = higherPeaks(peaks, await measurePeaks(gpu));
  const impossible = () => [
    ...(kernels ? kernelsAbovePeak(kernels, peaks) : []),
    ...(model?.rows ?? []).flatMap((r) =>
      abovePeak(`${r.kind} ${r.size}² batch ${r.batch}`, r.gflops ?? 0, false, peaks)
    ),
  ];
  // Another program may have slowed down the measurements of the peak: it gets more chances.
  for (let i = 0; i < 3 && impossible().length; i++) {
    peaks = higherPeaks(peaks, await measurePeaks(gpu));
  }
  gpu.destroy();

  const report: BenchReport = {
    version: 1,
    date: new Date().toISOString(),
    command: `./run bench ${Deno.args.join(" ")}`,
    adapter: gpu.name,
    software: gpu.profile.software,
    cores: navigator.hardwareConcurrency,
    processor: processorName(),
    versions: { Deno: Deno.version.deno, V8: Deno.version.v8 },
    tuned: choose !== undefined,
    exact: Boolean(options.exact),
    seconds: (performance.now() - started) / 1000,
    peaks,
    kernels,
    model,
    firstSteps,
    peers,
  };
  for (const t of benchTables(report)) {
    console.log(`\n${t.title}\n${table(t.head, t.rows)}${t.note ? `\n${t.note}` : ""}`);
  }
  if (options.json) await write(options.json, JSON.stringify(report, null, 1) + "\n");
  const errors = impossible();
  if (errors.length) throw new CheckFailedError(errors.join("\n"));
  await write(options.html, benchPage(report));
  if (markdown) {
    const text = replaceMeasured(await Deno.readTextFile(markdown), benchMarkdown(report));
    await write(markdown, text);
  }
  console.log(`\n${report.adapter}, ${report.seconds.toFixed(0)} s`);
});

function processorName(): string {
  return cpus()[0]?.model.trim() || "processor unknown";
}

async function write(path: string, text: string): Promise<void> {
  await writeFileAtomic(resolve(path), text);
  console.log(`wrote ${path}`);
}

/** Better told before ten minutes of measuring than after. */
function checkMarkers(path: string, name?: "features"): void {
  try {
    replaceMeasured(Deno.readTextFileSync(path), "", name);
  } catch (error) {
    throw new InputError(`--markdown ${path}: ${(error as Error).message}`);
  }
}

/** The command line, as parsed. */
interface Options {
  kernels?: boolean;
  model?: boolean;
  peers?: boolean;
  features?: boolean;
  batches: number[];
  sizes: number[];
  batch: number;
  size: number;
  precision: Precision;
  budget: number;
  exact?: boolean;
  untuned?: boolean;
  compile: boolean;
  python: string;
  json?: string;
  html: string;
  markdown?: string;
  firstStep?: string;
}

type Show = (what: string, done: number, total: number) => void;

/** One progress bar after another, as what is done changes. */
async function withBar<T>(body: (show: Show) => Promise<T>): Promise<T> {
  let bar: Progress | undefined, label = "";
  const show: Show = (what, done, total) => {
    if (what !== label) {
      bar?.stop();
      bar = progressBar(label = what, total);
    }
    bar!.update(done);
  };
  try {
    return await body(show);
  } finally {
    bar?.stop();
  }
}

async function runPeers(
  gpu: Awaited<ReturnType<typeof openGpu>>,
  planOptions: Parameters<typeof benchPeers>[1],
  budget: Budget,
  options: Options,
) {
  const folder = await Deno.makeTempDir({ prefix: "bench-peers-" });
  try {
    return await benchPeers(
      gpu,
      planOptions,
      peerSpecs({
        ...options,
        tunables: Deno.env.get("GLIBC_TUNABLES"),
        shaders: gpu.profile.software && gpu.profile.lanes === 16 ? `${folder}/shaders` : undefined,
      }),
      budget.part(options.model ? 0.55 : 1),
      { size: options.size, folder, onProgress: (what) => console.error(`peers    ${what}`) },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** `--features`: a measurement of its own, which needs no peaks. */
async function runFeatures({ python, markdown: file, json }: Options): Promise<void> {
  const markdown = file && resolve(file);
  if (markdown) checkMarkers(markdown, "features");
  const gpu = await openGpu();
  const folder = await Deno.makeTempDir({ prefix: "bench-features-" });
  try {
    const report = await withBar((onProgress) =>
      benchFeatures(gpu, featurePeer(python, Deno.env.get("GLIBC_TUNABLES")), {
        slices: 256,
        folder,
        onProgress,
      })
    );
    const about = {
      date: new Date().toISOString(),
      command: `./run bench ${Deno.args.join(" ")}`,
      adapter: gpu.name,
      cores: navigator.hardwareConcurrency,
      processor: processorName(),
    };
    const { title, head, rows, note } = featureTable(report);
    console.log(`\n${title}\n${table(head, rows)}\n${note}\n\n${gpu.name}`);
    if (json) await write(json, JSON.stringify({ ...about, ...report }, null, 1) + "\n");
    if (markdown) {
      const text = await Deno.readTextFile(markdown);
      await write(markdown, replaceMeasured(text, featureMarkdown(about, report), "features"));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
    gpu.destroy();
  }
}

async function printFirstStep(text: string): Promise<void> {
  const [preset, batch, size] = text.split(",");
  console.log(JSON.stringify(await firstStep(preset, Number(batch), Number(size))));
}

/** The demo's and the seed preset's first step, with a new folder for the driver's cache, and again. */
async function runFirstSteps(budget: Budget): Promise<FirstSteps[]> {
  const results: FirstSteps[] = [];
  for (const [preset, batch, size] of [["demo", 8, 32], ["seed", 8, 128]] as const) {
    if (budget.left === 0) break;
    const folder = await Deno.makeTempDir({ prefix: "bench-shaders-" });
    try {
      console.error(`first step of ${preset}`);
      const cold = await ask(`${preset},${batch},${size}`, folder);
      results.push({ preset, cold, warm: await ask(`${preset},${batch},${size}`, folder) });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  return results;
}

async function ask(what: string, folder: string): Promise<FirstStep> {
  const { stdout, stderr, success } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--cached-only",
      "--frozen",
      "--allow-read",
      "--allow-env=INIT_CWD,HOME,XDG_CACHE_HOME",
      import.meta.filename!,
      "--first-step",
      what,
    ],
    // Mesa's and NVIDIA's names for where compiled shaders are kept.
    env: { MESA_SHADER_CACHE_DIR: folder, __GL_SHADER_DISK_CACHE_PATH: folder },
  }).output();
  if (!success) throw new CheckFailedError(new TextDecoder().decode(stderr).trim());
  return JSON.parse(new TextDecoder().decode(stdout).trim().split("\n").at(-1)!);
}
