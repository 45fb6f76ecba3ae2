/** Are a CT's values Hounsfield units? Air, lung and few extremes tell them from all that is not. */

import { InputError } from "../errors.ts";

/** HU of air, noise included, and of lung that holds air. */
export const AIR_HU = [-1500, -200] as const;
/** Above it is metal alone, of which there is little. */
const MOST_HU = 4000;
/** Shares of pixels: of the lung in {@link AIR_HU} at least; above and below all HU at most. */
const SHARES = { air: 0.01, above: 0.01, below: 0.05 };

/**
 * What shows that the values are no HU:
 *
 * - all of them are the same;
 * - less than 1% of the lung (without a mask: of all) is in {@link AIR_HU}: stored values without
 *   their intercept, 0 … 1, 0 … 255;
 * - more than 1% lie above 4000, or 5% below −1500 other than as padding, which has one value:
 *   unsigned padding, an intercept applied twice.
 *
 * @param values a slice or a volume, all finite. @param mask of the same length; 0 outside the lung.
 * @returns what is wrong, with the range found; undefined where nothing is, or there is no lung.
 */
export function huFault(values: ArrayLike<number>, mask?: ArrayLike<number>): string | undefined {
  let min = Infinity, max = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < min) min = values[i];
    if (values[i] > max) max = values[i];
  }
  let lung = 0, air = 0, above = 0, below = 0;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v > MOST_HU) above++;
    if (v < AIR_HU[0] && v !== min) below++;
    if (mask && !(mask[i] > 0)) continue;
    lung++;
    if (v >= AIR_HU[0] && v <= AIR_HU[1]) air++;
  }
  if (lung === 0) return undefined;
  const number = (v: number) => String(Number(v.toPrecision(4)));
  if (min === max) return `every value is ${number(min)}: a CT has air and tissue`;
  const range = `the values are ${number(min)} … ${number(max)}`;
  if (air < SHARES.air * lung) {
    return `${range}: ${air || "none"} of ${lung} ${mask ? "in the lung mask" : "pixels"} is air ` +
      `or lung (${AIR_HU.join(" … ")} HU)`;
  }
  const share = (count: number) => `${(100 * count / values.length).toFixed(1)}%`;
  if (above > SHARES.above * values.length) return `${range}: ${share(above)} is above ${MOST_HU}`;
  if (below > SHARES.below * values.length) {
    return `${range}: ${share(below)} is below ${AIR_HU[0]} and no padding`;
  }
  return undefined;
}

/** @throws InputError naming the file, the range found and what overrides, where {@link huFault}. */
export function requireHu(
  name: string,
  values: ArrayLike<number>,
  mask?: ArrayLike<number>,
): void {
  const fault = huFault(values, mask);
  if (!fault) return;
  throw new InputError(
    `Cannot use "${name}" as HU: ${fault}; convert it to Hounsfield units, or give --any-values`,
  );
}
