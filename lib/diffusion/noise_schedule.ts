/** ᾱ of the forward process, to the last float32 bit as diffusers has it. */

import { InputError } from "../errors.ts";

/** How β goes from the first timestep to the last, by diffusers' names. */
export type BetaSchedule = "linear" | "scaled_linear" | "squaredcos_cap_v2";

/** torch.linspace in float32: from both ends towards the middle. */
function linspace32(start: number, end: number, count: number): number[] {
  const f = Math.fround;
  const [from, to] = [f(start), f(end)];
  const step = f(f(to - from) / f(count - 1));
  return Array.from(
    { length: count },
    (_, i) => i < count / 2 ? f(from + f(step * i)) : f(to - f(step * (count - 1 - i))),
  );
}

/** β per timestep, float32 values (schedulers/scheduling_ddpm.py `__init__`). */
export function betas(
  schedule: BetaSchedule,
  start: number,
  end: number,
  timesteps: number,
): number[] {
  switch (schedule) {
    case "linear":
      return linspace32(start, end, timesteps);
    case "scaled_linear":
      return linspace32(Math.sqrt(start), Math.sqrt(end), timesteps).map((b) => Math.fround(b * b));
    case "squaredcos_cap_v2": {
      // betas_for_alpha_bar: float64 until the last rounding.
      const bar = (t: number) => Math.cos((t + 0.008) / 1.008 * Math.PI / 2) ** 2;
      return Array.from(
        { length: timesteps },
        (_, i) => Math.fround(Math.min(1 - bar((i + 1) / timesteps) / bar(i / timesteps), 0.999)),
      );
    }
    default:
      throw new InputError(
        `beta_schedule "${schedule}" is not supported: use linear, ` +
          `scaled_linear or squaredcos_cap_v2`,
      );
  }
}

/**
 * ᾱ_t = Π (1 − β): float32 factors, a float64 running product, each ᾱ rounded to float32, which is
 * what torch.cumprod does.
 */
export function alphasCumprod(beta: readonly number[]): number[] {
  let product = 1;
  return beta.map((b) => Math.fround(product *= Math.fround(1 - b)));
}

/** The table of the q_sample op, [T,2]: √ᾱ and √(1 − ᾱ). */
export function qSampleTable(alphas: readonly number[]): Float32Array<ArrayBuffer> {
  return Float32Array.from(alphas.flatMap((a) => [Math.sqrt(a), Math.sqrt(1 - a)]));
}
