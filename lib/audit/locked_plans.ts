/** The Plans that the lock holds: those of the presets, for each kind of device. */

import type { Plan } from "../plan/plan.ts";
import { PRESETS } from "../train/config.ts";
import { AUDIT_PROFILES } from "./profiles.ts";
import { auditedStep, noisePlan, presetConfig, STEP_KINDS } from "./steps.ts";

/** Every plan that is locked, by preset, step, kind of device and precision. Needs no GPU. */
export function* lockedPlans(): Generator<[name: string, plan: Plan]> {
  for (const preset of Object.keys(PRESETS)) {
    const config = presetConfig(preset);
    const half = presetConfig(preset, "f16");
    for (const [profile, device] of Object.entries(AUDIT_PROFILES)) {
      for (const kind of STEP_KINDS) {
        const name = `${preset} ${kind} ${profile}`;
        yield [name, auditedStep(kind, preset, config, device).plan];
        if (!device.features.includes("shader-f16")) continue;
        yield [`${name} f16`, auditedStep(kind, preset, half, device).plan];
      }
      yield [`${preset} noise ${profile}`, noisePlan(config, device)];
    }
  }
}
