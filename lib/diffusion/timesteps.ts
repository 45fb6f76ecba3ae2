/** The timesteps of a sampling run, as `set_timesteps` of diffusers' schedulers picks them. */

import { InputError } from "../errors.ts";
import type { SchedulerConfig } from "./scheduler_config.ts";

/** numpy's round: halves go to the even neighbour. */
function roundEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The timesteps that `set_timesteps(steps)` of the scheduler picks, from noisy to clean. */
export function inferenceTimesteps(config: SchedulerConfig, steps: number): number[] {
  const total = config.num_train_timesteps;
  if (!Number.isInteger(steps) || steps < 1 || steps > total) {
    throw new InputError(
      `number of sampling steps ${steps} must be a whole number from 1 to ${total}, ` +
        `the model's training timesteps`,
    );
  }
  const solver = config._class_name === "DPMSolverMultistepScheduler";
  const range = (n: number) => Array.from({ length: n }, (_, i) => i);
  switch (config.timestep_spacing) {
    case "linspace": {
      const count = solver ? steps + 1 : steps;
      const step = (total - 1) / Math.max(count - 1, 1);
      const up = range(count).map((i) =>
        roundEven(i === count - 1 && i > 0 ? total - 1 : i * step)
      );
      return up.reverse().slice(0, steps);
    }
    case "leading": {
      const ratio = Math.floor(total / (solver ? steps + 1 : steps));
      const from = solver ? 1 : 0;
      return range(steps).map((i) => (i + from) * ratio + config.steps_offset).reverse();
    }
    case "trailing": {
      const ratio = total / steps;
      return range(steps).map((i) => roundEven(total - i * ratio) - 1);
    }
  }
}

/** Why timesteps are none that a model can be asked at one after the other; undefined: they are. */
function badTimesteps(config: SchedulerConfig, steps: number): string | undefined {
  const times = inferenceTimesteps(config, steps), last = config.num_train_timesteps - 1;
  const outside = times.find((t) => t < 0 || t > last);
  if (outside !== undefined) {
    return `asks for timestep ${outside}, past the end: the last one trained is ${last}`;
  }
  const twice = times.find((t, i) => t === times[i + 1]);
  if (twice !== undefined) return `asks for timestep ${twice} twice`;
}

/** @throws InputError naming the cause and the most steps that do. */
export function checkedTimesteps(config: SchedulerConfig, steps: number): number[] {
  const bad = badTimesteps(config, steps);
  if (!bad) return inferenceTimesteps(config, steps);
  let most = steps - 1;
  while (most > 0 && badTimesteps(config, most)) most--;
  const { _class_name, timestep_spacing, steps_offset } = config;
  throw new InputError(
    `${_class_name} with ${steps} steps, timestep_spacing ${timestep_spacing} and steps_offset ` +
      `${steps_offset} ${bad}; ` +
      (most ? `at most ${most} steps are possible` : "take a smaller steps_offset"),
  );
}
