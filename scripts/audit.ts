/** `deno task audit`: shows, checks, times and pins every operation of a step. */

import { byShare, checkStep, type NodeCheck, requireWithin } from "../lib/audit/check.ts";
import { compareFlops, FLOPS_TOLERANCE } from "../lib/audit/flops.ts";
import { auditPage } from "../lib/audit/html.ts";
import { planHash } from "../lib/plan/hash.ts";
import { liveStep } from "../lib/audit/live.ts";
import {
  formatLock,
  LOCK_NAME,
  lockDifferences,
  lockGuard,
  makeLock,
  readLock,
} from "../lib/audit/lock.ts";
import { AUDIT_PROFILES } from "../lib/audit/profiles.ts";
import { type AuditReport, auditReport } from "../lib/audit/report.ts";
import {
  type AuditedStep,
  auditedStep,
  presetConfig,
  STEP_KINDS,
  type StepKind,
} from "../lib/audit/steps.ts";
import {
  checkTable,
  dispatchTable,
  flopsTable,
  memoryText,
  timeTable,
  totalsTable,
} from "../lib/audit/text.ts";
import { measurePeaks, type Peaks } from "../lib/bench/peaks.ts";
import { newCommand, precisionOption, refuseGiven, refuseOthers } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { CheckFailedError, InputError } from "../lib/errors.ts";
import { openGpu, requirePrecision } from "../lib/gpu/device.ts";
import { writeFileAtomic } from "../lib/io/atomic.ts";
import type { RunConfig } from "../lib/train/config.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";

const ROOT = new URL("../", import.meta.url);

const program = newCommand(
  "audit",
  "Shows exactly what runs on the GPU in a training or sampling step.",
)
  .option("--step <name>", "train or sample", "train")
  .option("--preset <name>", "demo or seed", "demo")
  .option("--device <name>", `plan for ${Object.keys(AUDIT_PROFILES).join(", ")}`, "software")
  .addOption(precisionOption())
  .option("--check", "replay a real step on the GPU, each result against float64")
  .option("--time", "time each dispatch on the GPU")
  .option("--json <file>", "write everything as JSON")
  .option("--html <file>", "write a page with the graph, equations, WGSL and findings")
  .option("--update", `write ${LOCK_NAME} anew`)
  .option("--verify-lock", `compare what would run with ${LOCK_NAME}`)
  .option("--locked", `with --check or --time: refuse shaders that are not in ${LOCK_NAME}`)
  .addHelpText(
    "after",
    `
Examples:
  ./run audit --step train --preset seed | less -S      every dispatch, totals, memory
  ./run audit --step sample --json sample.json
  ./run audit --check --html audit.html                 each result against float64
  ./run audit --update                                  after a kernel was changed on purpose

Without --check and --time no GPU is needed. Exit code: 0 done, 1 a check failed, 2 wrong use or
input, 3 no usable GPU.`,
  );

/** Runs on the GPU what --check and --time ask for. */
async function measure(
  kind: StepKind,
  preset: string,
  config: RunConfig,
  options: { check?: boolean; time?: boolean; locked?: boolean },
): Promise<{ step: AuditedStep; checks?: NodeCheck[]; times?: number[]; peaks?: Peaks }> {
  const gpu = await openGpu(options.locked ? lockGuard(await readLock(ROOT)) : undefined);
  console.log(`adapter: ${gpu.name}`);
  const choose = await tunedChoice(gpu);
  const step = auditedStep(kind, preset, config, gpu.profile, choose);
  const live = await liveStep(gpu, kind, config);
  if (await planHash(live.executable.plan) !== await planHash(step.plan)) {
    throw new CheckFailedError("the program runs another Plan than the one that is audited");
  }
  let checks: NodeCheck[] | undefined;
  let times: number[] | undefined;
  let peaks: Peaks | undefined;
  if (options.check) {
    const bar = progressBar("checking", step.plan.dispatches.length);
    checks = byShare(
      await checkStep(step.graph, live.executable, {
        onDispatch: (done) => bar.update(done),
      }),
    );
    bar.stop();
  }
  if (options.time) {
    await live.executable.profile(); // the first run pays for what is set up late
    times = await live.executable.profile();
  }
  live.destroy();
  gpu.destroy();
  if (options.time) {
    // A device of its own: the probes of the benchmark are in no lock.
    const probed = await openGpu();
    peaks = await measurePeaks(probed);
    probed.destroy();
    const { gflops, gigabytes } = peaks;
    console.log(`measured peaks: ${gflops.toFixed(1)} GFLOP/s, ${gigabytes.toFixed(1)} GB/s`);
  }
  return { step, checks, times, peaks };
}

function printReport(report: AuditReport): void {
  console.log(dispatchTable(report));
  console.log(`\n${totalsTable(report)}\n`);
  console.log(memoryText(report));
  console.log(
    `\n${report.step} step of preset ${report.preset}: ${report.dispatches.length} dispatches, ` +
      `${(report.flops / 1e9).toFixed(3)} GFLOP, Plan SHA-256 ${report.planSha256}`,
  );
}

await main(async () => {
  parseArguments(program);
  const options = program.opts();
  if (options.update && options.verifyLock) {
    throw new InputError("--update and --verify-lock exclude each other");
  }
  if (options.update || options.verifyLock) {
    const flag = options.update ? "--update" : "--verify-lock";
    refuseOthers(program, ["update", "verifyLock"], `${flag} is of all steps and prints no tables`);
  }
  const onGpu = options.check || options.time;
  if (onGpu) refuseGiven(program, ["device"], "--check and --time are of the GPU that is here");
  else refuseGiven(program, ["locked"], "goes with --check or --time");
  if (options.update) {
    const text = formatLock(await makeLock());
    await Deno.writeTextFile(new URL(LOCK_NAME, ROOT), text);
    console.log(`${LOCK_NAME} written`);
    return;
  }
  if (options.verifyLock) {
    const differences = lockDifferences(await readLock(ROOT), await makeLock());
    for (const line of differences) console.log(line);
    if (differences.length) {
      throw new CheckFailedError(
        `${differences.length} differences from ${LOCK_NAME}; if meant: ./run audit --update`,
      );
    }
    console.log(`everything is as ${LOCK_NAME} says`);
    return;
  }
  const kind = options.step as StepKind;
  if (!STEP_KINDS.includes(kind)) throw new InputError(`--step ${kind}: there is train, sample`);
  const device = AUDIT_PROFILES[options.device];
  if (!device) {
    throw new InputError(
      `--device ${options.device}: there is ${Object.keys(AUDIT_PROFILES).join(", ")}`,
    );
  }
  requirePrecision(options.precision, { name: `"${options.device}"`, profile: device });
  const { preset } = options;
  const config = presetConfig(preset, options.precision);
  const { step, checks, times, peaks } = onGpu
    ? await measure(kind, preset, config, options)
    : { step: auditedStep(kind, preset, config, device), peaks: undefined };
  const report = await auditReport(step);
  const flops = compareFlops(report);
  if (checks) console.log(checkTable(checks));
  if (times) console.log(timeTable(report, times, peaks));
  if (!checks && !times) printReport(report);
  if (flops.length) console.log(`\n${flopsTable(flops)}`);
  if (options.json) {
    const json = JSON.stringify({ ...report, comparison: flops, checks, times, peaks }, null, 1) +
      "\n";
    await writeFileAtomic(options.json, json);
    console.log(`written: ${options.json}`);
  }
  if (options.html) {
    await writeFileAtomic(options.html, auditPage(step, report, { flops, checks, times }));
    console.log(`written: ${options.html}`);
  }
  const off = flops.filter((f) => f.bound && Math.abs(f.difference) > FLOPS_TOLERANCE);
  if (off.length) throw new CheckFailedError(`FLOPs differ: ${off[0].what}`);
  if (!checks) return;
  requireWithin(checks);
  console.log(`${checks.length} results, all within their tolerance`);
});
