/** Runs a reference case of any kind on the GPU. */

import { InputError } from "../errors.ts";
import { type Gpu, requirePrecision } from "../gpu/device.ts";
import type { Check, ReferenceCase, VerifyOptions } from "./case.ts";
import { verifyMetrics } from "./metrics.ts";
import { verifySample, verifyScheduler } from "./scheduler.ts";
import { verifyTrain } from "./train.ts";
import { verifyUnet } from "./unet.ts";

/** @throws InputError for a kind that is not known or a tensor that is missing. */
export async function verifyCase(
  gpu: Gpu,
  reference: ReferenceCase,
  options: VerifyOptions,
): Promise<Check[]> {
  requirePrecision(options.precision, gpu);
  switch (reference.kind) {
    case "unet":
      return await verifyUnet(gpu, reference, options);
    case "scheduler":
      return await verifyScheduler(gpu, reference);
    case "sample":
      return await verifySample(gpu, reference, options);
    case "train":
      return await verifyTrain(gpu, reference, options);
    case "metrics":
      return verifyMetrics(reference);
    default:
      throw new InputError(
        `${reference.file}: kind "${reference.kind}" is not known: ` +
          `unet, scheduler, sample, train or metrics`,
      );
  }
}
