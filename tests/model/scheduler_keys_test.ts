/** Every key of a scheduler_config.json, for its own class and for others: as diffusers takes it. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { readSchedulerFile, schedulerJson } from "../../lib/diffusion/scheduler_file.ts";
import { addNoiseTable, reverseSteps } from "../../lib/diffusion/scheduler.ts";
import {
  CLASS_KEYS,
  ignoredKeys,
  type SchedulerConfig,
  schedulerConfig,
  type SchedulerName,
} from "../../lib/diffusion/scheduler_config.ts";
import { PRESETS, runConfig } from "../../lib/train/config.ts";
import { schedulerStepOp } from "../../lib/ops/diffusion/op.ts";

interface Case {
  readonly class: SchedulerName;
  readonly key: string | null;
  readonly config: Record<string, unknown>;
  readonly timesteps: number[];
  readonly x: number[][];
  readonly noise: number[];
}

const FIXTURES = fileURLToPath(new URL("../fixtures/schedulers", import.meta.url));
const cases: Case[] = JSON.parse(await Deno.readTextFile(`${FIXTURES}/keys.json`));

/** The largest relative difference to diffusers' own steps, each from the x that it had. */
function error(config: SchedulerConfig, expected: Case): number {
  const steps = reverseSteps(config, expected.timesteps.length);
  if (steps.some((step, i) => step.t !== expected.timesteps[i])) return Infinity;
  let previous = new Float64Array(4), worst = 0;
  for (const [i, { coefficients }] of steps.entries()) {
    const x = Float64Array.from(expected.x[i]), e = x.map((v) => 0.8 * v + 0.1);
    const inputs = [
      e,
      Float64Array.from(expected.noise),
      Float64Array.from(coefficients),
      x,
      previous,
    ];
    const [next, x0] = schedulerStepOp.reference(inputs, {}, [], []);
    const goal = expected.x[i + 1], size = Math.max(1, ...goal.map(Math.abs));
    next.forEach((v, k) => worst = Math.max(worst, Math.abs(v - goal[k]) / size));
    previous = Float64Array.from(x0);
  }
  return worst;
}

const names = Object.keys(CLASS_KEYS) as SchedulerName[];

for (const name of names) {
  Deno.test(`${name}: each key is honoured, ignored with a note, or refused, as in diffusers`, () => {
    const own = cases.filter((c) => c.class === name);
    const plain = own.find((c) => c.key === null)!;
    assert.ok(own.length > 35, `${own.length} cases`);
    const refused: string[] = [];
    for (const expected of own) {
      const { key, config } = expected;
      const raw = { _class_name: name, ...config }, label = `${key}: ${JSON.stringify(config)}`;
      let taken: SchedulerConfig;
      try {
        taken = schedulerConfig(raw, "file");
      } catch (error) {
        assert.match((error as Error).message, new RegExp(`^file: .*${key}`), label);
        // Not for nothing: diffusers' images would be others.
        assert.notDeepEqual(
          expected.x,
          plain.x,
          `${label} is refused and does nothing in diffusers`,
        );
        refused.push(`${key} ${JSON.stringify(config[key!])}`);
        continue;
      }
      const off = error(taken, expected);
      assert.ok(off < 2e-5, `${label}: off by ${off}`);
      const isNoted = ignoredKeys(raw, "file").some((note) => note.includes(key!));
      const isWritten = key !== null && key in schedulerJson(taken);
      if (isNoted) assert.ok(!isWritten, `${label}: ignored, and written`);
      // What changes diffusers' images was not ignored.
      if (isNoted) assert.deepEqual(expected.x, plain.x, label);
    }
    assert.deepEqual(refused.sort(), REFUSED[name]);
  });
}

/** Options that there is no kernel's coefficient for; trained_betas is [0.01, …]. */
const BETAS = `trained_betas ${
  JSON.stringify(cases.find((c) => c.key === "trained_betas")!.config.trained_betas)
}`;
const COMMON = ["rescale_betas_zero_snr true", "sample_max_value 2", BETAS];
const REFUSED: Record<SchedulerName, string[]> = {
  DDPMScheduler: COMMON,
  DDIMScheduler: COMMON,
  DPMSolverMultistepScheduler: [
    'algorithm_type "sde-dpmsolver++"',
    "lambda_min_clipped -0.5",
    ...COMMON.slice(0, 2),
    'solver_type "heun"',
    BETAS,
    "use_exponential_sigmas true",
    "use_flow_sigmas true",
    "use_karras_sigmas true",
    "use_lu_lambdas true",
  ],
};

Deno.test("DPM-Solver++ with clip_sample does not clip, says so, and writes no such key", async () => {
  const path = `${FIXTURES}/dpmpp.json`;
  const raw = await readSchedulerFile(path);
  const plain = schedulerConfig(raw, path),
    clipped = schedulerConfig({ ...raw, clip_sample: true }, path);
  assert.deepEqual(clipped, plain);
  assert.equal(clipped.clip_sample, false);
  assert.deepEqual(ignoredKeys(raw, path), []);
  const [note] = ignoredKeys({ ...raw, clip_sample: true, set_alpha_to_one: false }, path);
  assert.match(
    note,
    /dpmpp\.json: clip_sample, set_alpha_to_one ignored: DPMSolverMultistepScheduler/,
  );
  assert.ok(!("clip_sample" in schedulerJson(clipped)));
});

Deno.test("notes of a model (_null_class, others) are carried into what is written", () => {
  const config = schedulerConfig({ _class_name: "DDIMScheduler" }, "x");
  const written = schedulerJson(config, {
    _class_name: "DDPMScheduler",
    _diffusers_version: "0.1",
    _null_class: -1,
    _of_later: { a: 1 },
    beta_start: 0.5,
  });
  assert.equal(written._class_name, "DDIMScheduler");
  assert.notEqual(written._diffusers_version, "0.1");
  assert.deepEqual([written._null_class, written._of_later], [-1, { a: 1 }]);
  assert.equal(written.beta_start, 0.0001);
});

Deno.test("timesteps asked twice or past the end are refused before a step, with what is possible", () => {
  const refuse = (raw: Record<string, unknown>, steps: number, message: RegExp, most?: number) => {
    const config = schedulerConfig(raw, "file");
    assert.throws(() => reverseSteps(config, steps), (error: Error) => {
      assert.equal(error.name, "InputError");
      assert.match(error.message, message);
      return true;
    });
    if (most === undefined) return;
    const times = reverseSteps(config, most).map((step) => step.t);
    assert.equal(new Set(times).size, most);
    assert.throws(() => reverseSteps(config, most + 1));
  };
  const solver = { _class_name: "DPMSolverMultistepScheduler" };
  refuse(solver, 1000, /linspace.* timestep 500 twice; at most 999 steps/, 999);
  refuse(
    { ...solver, timestep_spacing: "leading" },
    1000,
    /timestep 0 twice; at most 999 steps/,
    999,
  );
  const ddim = { _class_name: "DDIMScheduler" };
  refuse(
    { ...ddim, steps_offset: 1 },
    1000,
    /timestep 1000, past the end: .*999; at most 999/,
    999,
  );
  refuse(
    { _class_name: "DDPMScheduler", steps_offset: 1 },
    1000,
    /DDPMScheduler .*past the end/,
    999,
  );
  refuse({ ...ddim, steps_offset: 1000 }, 1, /past the end.*take a smaller steps_offset/);
  refuse(ddim, 1001, /1001 must be a whole number from 1 to 1000, the model's training timesteps/);
  refuse({ ...ddim, num_train_timesteps: 100 }, 101, /from 1 to 100/, 100);
  // Nothing that works is refused.
  for (const name of names) {
    for (const timestep_spacing of ["leading", "linspace", "trailing"]) {
      for (const steps of [1, 2, 7, 50, 333, 999]) {
        reverseSteps(schedulerConfig({ _class_name: name, timestep_spacing }, "x"), steps);
      }
    }
  }
});

Deno.test("a β that shrinks, leaves (0, 1) or leaves no signal is refused by name", () => {
  const refuse = (raw: Record<string, unknown>, message: RegExp) =>
    assert.throws(
      () => reverseSteps(schedulerConfig({ _class_name: "DDIMScheduler", ...raw }, "file"), 10),
      (error: Error) => error.name === "InputError" && message.test(error.message),
    );
  refuse({ beta_start: 0.03 }, /beta_start is 0\.03, above beta_end 0\.02/);
  refuse({ beta_end: 1 }, /beta_end 1, both must lie between 0 and 1/);
  refuse({ beta_start: 0 }, /beta_start is 0 /);
  refuse({ beta_start: 1e-12, beta_end: 1e-12 }, /divides by zero at timestep \d+, where ᾱ is 1/);
  refuse({ beta_start: 0.9, beta_end: 0.999 }, /divides by zero at timestep 900, where ᾱ is 0/);
  refuse({ steps_offset: 0.5 }, /steps_offset is 0\.5/);
  // The cosine schedule reads neither.
  schedulerConfig(
    {
      _class_name: "DDIMScheduler",
      beta_schedule: "squaredcos_cap_v2",
      beta_start: 1,
      beta_end: 0,
    },
    "file",
  );
});

Deno.test("a run's configuration with such a β, or with grids of more steps than timesteps, is refused", () => {
  const refuse = (change: Record<string, unknown>, message: RegExp) =>
    assert.throws(
      () => runConfig({ ...structuredClone(PRESETS.demo), ...change }, "file"),
      (error: Error) => error.name === "InputError" && message.test(error.message),
    );
  refuse({ beta_start: 0.5 }, /file: beta_start is 0\.5, above beta_end 0\.02/);
  refuse({ ddpm_num_steps: 49 }, /ddpm_num_inference_steps is 50, above the 49 timesteps/);
  runConfig({ ...structuredClone(PRESETS.demo), ddpm_num_steps: 50 }, "file");
});

Deno.test("add_noise: DPM-Solver++ knows the levels of its own timesteps, the others every one", () => {
  const betas = { num_train_timesteps: 40, beta_start: 0.001, beta_end: 0.2 };
  const signal: number[] = [];
  for (let t = 0, alpha = 1; t < 40; t++) {
    alpha *= 1 - (0.001 + 0.199 * t / 39);
    signal.push(alpha);
  }
  const table = (name: SchedulerName) =>
    addNoiseTable(schedulerConfig({ _class_name: name, ...betas }, "test"), 4);
  const solver = cases.find((c) => c.class === "DPMSolverMultistepScheduler" && c.key === null)!;
  const levels: Record<string, (t: number) => number> = {
    DDPMScheduler: (t) => signal[t],
    DDIMScheduler: (t) => signal[t],
    DPMSolverMultistepScheduler: (t) =>
      signal[solver.timesteps.includes(t) ? t : solver.timesteps.at(-1)!],
  };
  assert.equal(solver.timesteps.length, 4);
  for (const [name, level] of Object.entries(levels)) {
    const got = table(name as SchedulerName);
    assert.equal(got.length, 80);
    for (let t = 0; t < 40; t++) {
      assert.ok(Math.abs(got[2 * t] - Math.sqrt(level(t))) < 1e-6, `${name}: signal at ${t}`);
      assert.ok(
        Math.abs(got[2 * t + 1] - Math.sqrt(1 - level(t))) < 1e-6,
        `${name}: noise at ${t}`,
      );
    }
  }
});
