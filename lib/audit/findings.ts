/** What the structure of a step says by itself: gradients that are zero whatever the data. */

import { zeroGradients as ofModel } from "../nn/lost.ts";
import type { AuditedStep } from "./steps.ts";

export interface ZeroGradient {
  readonly parameter: string;
  readonly why: string;
}

/** Parameters whose gradient is zero by construction: see `lostTensors`. */
export function zeroGradients({ config }: AuditedStep): ZeroGradient[] {
  const [height, width] = config.resolution;
  const { parameters } = ofModel(config.unet, height, width);
  return [...parameters].map(([parameter, why]) => ({ parameter, why }));
}
