/** The ends of samplers: first-order last steps, clipping ranges, η. Rules of diffusers' own classes. */

import assert from "node:assert/strict";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { type SchedulerConfig, schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";

const of = (name: string, options: Partial<SchedulerConfig> = {}) =>
  schedulerConfig({ _class_name: name, ...options }, "test");
const solver = (options: Partial<SchedulerConfig> = {}) =>
  of("DPMSolverMultistepScheduler", options);

/** Coefficients in the kernel's order: kx, ke, clip, low x, low e, a, b, c, d, s. */
const [CLIP, D, S] = [2, 8, 9];
const all = (config: SchedulerConfig, count: number, eta = 0) =>
  reverseSteps(config, count, eta).map((step) => step.coefficients);
/** At which steps the solver looks back. */
const looksBack = (config: SchedulerConfig, count: number) =>
  all(config, count).map((c) => c[D] !== 0);

Deno.test("DPM-Solver++ ends with a first-order step below 15 steps, not from 15 on", () => {
  // Where the last sigma is not zero, for then its last step is of first order anyway.
  const options = { final_sigmas_type: "sigma_min" } as const;
  for (const [count, isSecond] of [[3, false], [14, false], [15, true], [16, true]] as const) {
    const back = looksBack(solver(options), count);
    assert.equal(back.length, count);
    assert.equal(back[0], false, "the first has nothing behind it");
    assert.ok(back.slice(1, -1).every(Boolean), `${count}`);
    assert.equal(back.at(-1), isSecond, `${count} steps`);
  }
});

Deno.test("lower_order_final, euler_at_final, final_sigmas_type and solver_order as diffusers has them", () => {
  const open = { final_sigmas_type: "sigma_min", lower_order_final: false } as const;
  assert.equal(looksBack(solver(open), 10).at(-1), true);
  assert.equal(looksBack(solver({ ...open, euler_at_final: true }), 20).at(-1), false);
  assert.equal(looksBack(solver({ ...open, final_sigmas_type: "zero" }), 20).at(-1), false);
  assert.ok(looksBack(solver({ solver_order: 1 }), 20).every((back) => !back));
  // To zero by default: the last step lands on the predicted image, at ᾱ = 1.
  const last = reverseSteps(solver(), 20).at(-1)!;
  assert.deepEqual([...last.levels.after], [1, 0]);
  assert.notEqual(reverseSteps(solver(open), 20).at(-1)!.levels.after[0], 1);
});

Deno.test("clip_sample_range is the range that is clipped to; none where clip_sample is off", () => {
  for (const name of ["DDPMScheduler", "DDIMScheduler"]) {
    const clips = (options: Partial<SchedulerConfig>) =>
      new Set(all(of(name, options), 5).map((c) => c[CLIP]));
    assert.deepEqual(clips({}), new Set([1]));
    assert.deepEqual(clips({ clip_sample_range: 2.5 }), new Set([2.5]));
    const [none, ...rest] = clips({ clip_sample: false, clip_sample_range: 2.5 });
    assert.ok(none > 1e30 && rest.length === 0, `${none}`);
  }
});

Deno.test("η: 0 by default and without noise; 1 has DDPM's noise; in between in proportion", () => {
  const ddim = of("DDIMScheduler"), count = 8;
  const noise = (eta?: number) => reverseSteps(ddim, count, eta).map((s) => s.coefficients[S]);
  assert.ok(noise().every((s) => s === 0));
  assert.ok(reverseSteps(ddim, count).every((s) => !s.stochastic));
  const [half, full] = [noise(0.5), noise(1)];
  full.slice(0, -1).forEach((s, i) => {
    assert.ok(s > 0 && Math.abs(half[i] / s - 0.5) < 1e-6, `${i}`);
  });
  // Song et al. 2021, eq. 16: η = 1 is DDPM's posterior deviation.
  const ddpm = reverseSteps(of("DDPMScheduler"), count).map((s) => s.coefficients[S]);
  full.slice(0, -1).forEach((s, i) => assert.ok(Math.abs(s / ddpm[i] - 1) < 1e-6, `${i}`));
});

Deno.test("DDPM: fixed_small by default; the last step adds no noise; fixed_large adds more before", () => {
  const noise = (options = {}) =>
    reverseSteps(of("DDPMScheduler", options), 10).map((s) => s.coefficients[S]);
  const [small, large] = [noise(), noise({ variance_type: "fixed_large" })];
  assert.deepEqual(noise({ variance_type: "fixed_small" }), small);
  assert.deepEqual([small.at(-1), large.at(-1)], [0, 0]);
  small.slice(0, -1).forEach((s, i) => assert.ok(s > 0 && s < large[i], `${i}`));
});

Deno.test("DDIM: set_alpha_to_one decides where the last step ends", () => {
  const end = (options: Partial<SchedulerConfig>) =>
    reverseSteps(of("DDIMScheduler", options), 10).at(-1)!.levels.after;
  assert.deepEqual([...end({})], [1, 0]);
  const [signal, rest] = end({ set_alpha_to_one: false });
  // β₀ = 1e-4: ᾱ₀ = 0.9999.
  assert.ok(Math.abs(signal ** 2 - 0.9999) < 1e-6 && Math.abs(rest ** 2 - 1e-4) < 1e-6);
});
