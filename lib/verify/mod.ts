/** Runs a reference case of any kind on the GPU. */

import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Check, ReferenceCase } from "./case.ts";
import { verifyMetrics } from "./metrics.ts";
import { verifySample, verifyScheduler } from "./scheduler.ts";
import { verifyTrain } from "./train.ts";
import { verifyUnet } from "./unet.ts";

export interface VerifyOptions {
  /** Leave out kernels that round differently from the plain sum. */
  readonly exact: boolean;
}

/** @throws InputError for a kind that is not known or a tensor that is missing. */
export async function verifyCase(
  gpu: Gpu,
  reference: ReferenceCase,
  { exact }: VerifyOptions,
): Promise<Check[]> {
  switch (reference.kind) {
    case "unet":
      return await verifyUnet(gpu, reference, exact);
    case "scheduler":
      return await verifyScheduler(gpu, reference);
    case "sample":
      return await verifySample(gpu, reference, exact);
    case "train":
      return await verifyTrain(gpu, reference, exact);
    case "metrics":
      return verifyMetrics(reference);
    default:
      throw new InputError(
        `${reference.file}: kind "${reference.kind}" is not known: ` +
          `unet, scheduler, sample, train or metrics`,
      );
  }
}
