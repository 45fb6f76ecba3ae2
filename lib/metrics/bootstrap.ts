/** Confidence intervals by resampling (Efron 1979). */

import type { PhiloxStream } from "../random/philox.ts";
import { deviation, mean, quantile } from "./statistics.ts";

export interface Summary {
  mean: number;
  /** ddof 0 */
  deviation: number;
  /** Percentile bootstrap interval of the mean, 95 %; none of a single value. */
  low?: number;
  high?: number;
  count: number;
}

/**
 * Mean, deviation and the 2.5 and 97.5 percentiles of the means of `resamples` draws with
 * replacement. Values that are not finite (PSNR of identical images) make the mean what arithmetic
 * makes it; null where there is nothing.
 */
export function summarise(
  values: readonly number[],
  random: PhiloxStream,
  resamples = 2000,
): Summary | null {
  const count = values.length;
  if (count === 0) return null;
  if (count === 1) return { mean: values[0], deviation: 0, count };
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += values[random.int(count)];
    return sum / count;
  }).sort();
  return {
    mean: mean(values),
    deviation: deviation(values),
    low: quantile(means, 0.025),
    high: quantile(means, 0.975),
    count,
  };
}
