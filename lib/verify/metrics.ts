/** Kind `metrics`: PSNR, SSIM and MSE a pair at a time. */

import { mse } from "../metrics/mse.ts";
import { psnr } from "../metrics/psnr.ts";
import { ssim } from "../metrics/ssim.ts";
import { absolute, type Check, floats, type ReferenceCase, row, tensorOf } from "./case.ts";
import { TOLERANCES } from "./tolerances.ts";

export function verifyMetrics(reference: ReferenceCase): Check[] {
  const dataRange = Number(reference.config.data_range);
  const generated = floats(reference, "generated"), target = floats(reference, "target");
  const { shape } = tensorOf(reference, "target");
  const [count, , height, width] = shape;
  const pairs = Array.from(
    { length: count },
    (_, i) => [row(generated, shape, i), row(target, shape, i)] as const,
  );
  const values = {
    psnr: pairs.map(([a, b]) => psnr(a, b, dataRange)),
    ssim: pairs.map(([a, b]) => ssim(a, b, { height, width, dataRange })),
    mse: pairs.map(([a, b]) => mse(a, b)),
  };
  return Object.entries(values).map(([name, got]) => ({
    name,
    error: absolute(got, floats(reference, name)),
    tolerance: TOLERANCES.metrics,
    measure: "absolute",
  }));
}
