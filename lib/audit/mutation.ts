/** The mutation run: does the check find a bug planted in any one kernel? */

import type { Gpu } from "../gpu/device.ts";
import type { Plan } from "../plan/plan.ts";
import { sizeOf } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { casePlans, halfCases, prepareCase, type PreparedCase, runCasePlan } from "./cases.ts";
import { sha256 } from "../plan/hash.ts";
import { allMutants, type Mutant, ordered, plant } from "./mutants.ts";

export interface Verdict extends Mutant {
  readonly verdict: "caught" | "survived";
  /** `conv2d 3×3 (direct)`: the first case that found it. */
  readonly by: string | null;
  /** Relative error there; null where it is infinite or no number. */
  readonly error: number | null;
}

/** A case in one variant: what a mutant has to pass. */
export interface Trial {
  readonly prepared: PreparedCase;
  readonly variant: string;
  readonly tolerance: number;
  readonly plan: Plan;
}

/** Every case of every op in every variant, also with tensors as f16; the smallest first. */
export function allTrials(gpu: Pick<Gpu, "profile">): Trial[] {
  // Variants for GPUs run on software Vulkan as well, only slower.
  const profiles = [gpu.profile, { ...gpu.profile, software: !gpu.profile.software }];
  const trials: Trial[] = [];
  for (const def of Object.values(OPS)) {
    const halves = gpu.profile.features.includes("shader-f16")
      ? def.cases.flatMap((test) => halfCases(def, test))
      : [];
    for (const test of [...def.cases, ...halves]) {
      const prepared = prepareCase(def, test);
      const seen = new Set<string>();
      for (const device of profiles) {
        for (const { variant, tolerance, plan } of casePlans(prepared, device)) {
          const key = JSON.stringify([
            variant,
            plan.dispatches,
            plan.params,
            plan.shaders.map((s) => [s.constants, s.text]),
          ]);
          if (seen.has(key)) continue;
          seen.add(key);
          trials.push({ prepared, variant, tolerance, plan });
        }
      }
    }
  }
  const size = ({ prepared: { test } }: Trial) =>
    test.inputs.reduce((sum, t) => sum + sizeOf(t.shape), 0);
  return trials.sort((a, b) => size(a) - size(b));
}

/** Those whose plan has a shader with the file in it. */
export function trialsOf(all: readonly Trial[], fileText: string): Trial[] {
  const anchor = fileText.split("\n").find((l) => /^\/\/ (Equation|Library):/.test(l))!;
  return all.filter(({ plan }) => plan.shaders.some((s) => s.text.includes(anchor)));
}

/**
 * A hash of all that decides a file's verdicts: its text, and the plans, values and tolerances of the
 * cases that run it. Where it is the same, the verdicts are.
 */
export function verdictKey(trials: readonly Trial[], fileText: string): Promise<string> {
  return sha256(JSON.stringify([
    fileText,
    trials.map(({ prepared: { def, test }, variant, tolerance, plan }) => [
      ...[def.name, test, variant, tolerance],
      ...[plan.shaders, plan.dispatches, plan.params, plan.buffers, plan.textures],
    ]),
  ]));
}

export interface MutationOptions {
  /** Mutants that compile and run, for each file. */
  readonly count: number;
  readonly onMutant?: (verdict: Verdict) => void;
}

/** Those that were run without a mutant. */
const passed = new WeakSet<Trial>();

/**
 * Plants bugs in one file, one at a time, and runs the cases until one finds it. Mutants that do not
 * compile are passed over.
 *
 * @param trials those that run the file.
 * @throws where the file is in no case, or a case fails without any mutant.
 */
export async function mutateFile(
  gpu: Gpu,
  trials: readonly Trial[],
  file: string,
  fileText: string,
  { count, onMutant }: MutationOptions,
): Promise<Verdict[]> {
  if (trials.length === 0) throw new Error(`${file}: no case of any op runs it`);
  for (const trial of trials.filter((t) => !passed.has(t))) {
    const { prepared, variant, tolerance, plan } = trial;
    const bad = (await runCasePlan(gpu, prepared, plan, tolerance))
      .find((r) => !(r.error <= r.tolerance));
    if (!bad) passed.add(trial);
    else {
      throw new Error(
        `${file}: ${name(prepared, variant)} fails without a mutant: error ${bad.error}`,
      );
    }
  }
  const verdicts: Verdict[] = [];
  for (const mutant of ordered(allMutants(file, fileText))) {
    if (verdicts.length >= count) break;
    const verdict = await judge(gpu, trials, fileText, mutant);
    if (!verdict) continue;
    verdicts.push(verdict);
    onMutant?.(verdict);
  }
  return verdicts;
}

const name = ({ def, test }: PreparedCase, variant: string) =>
  `${def.name} ${test.name} (${variant})`;

async function judge(
  gpu: Gpu,
  trials: readonly Trial[],
  fileText: string,
  mutant: Mutant,
): Promise<Verdict | undefined> {
  let planted = false;
  for (const { prepared, variant, tolerance, plan } of trials) {
    const shaders = plan.shaders.map((s) => ({
      ...s,
      text: plant(s.text, fileText, mutant) ?? s.text,
    }));
    if (shaders.every((s, i) => s.text === plan.shaders[i].text)) continue;
    planted = true;
    let errors;
    try {
      errors = await runCasePlan(gpu, prepared, { ...plan, shaders }, tolerance);
    } catch (error) {
      if (/^Cannot compile/.test((error as Error).message)) return undefined;
      throw error;
    }
    const found = errors.find((r) => !(r.error <= r.tolerance));
    if (found) {
      const error = Number.isFinite(found.error) ? found.error : null;
      return { ...mutant, verdict: "caught", by: name(prepared, variant), error };
    }
  }
  // A specialised line that no plan keeps as it stands in the file.
  if (!planted) return undefined;
  return { ...mutant, verdict: "survived", by: null, error: null };
}
