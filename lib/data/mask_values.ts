/** What the values of a mask may be. */

import { InputError } from "../errors.ts";
import type { Size } from "./resize.ts";

/**
 * A mask as 0 and 1: of 0/1, 0/255 or labels all that is above 0.
 *
 * @param values of [height, width]. @param path for messages.
 * @throws InputError at a value that is NaN, infinite or negative.
 */
export function binaryMask(
  { data, width }: { readonly data: Float32Array } & Size,
  path: string,
): Uint8Array {
  const bad = data.findIndex((value) => !(value >= 0 && value < Infinity));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use "${path}": ${data[bad]} at row ${Math.floor(bad / width)}, column ` +
        `${bad % width}; a mask is 0 outside and above 0 inside`,
    );
  }
  return Uint8Array.from(data, (value) => value > 0 ? 1 : 0);
}

/** {@link binaryMask} of a lung. @throws InputError where there is none in it, too. */
export function lungMask(plane: { readonly data: Float32Array } & Size, path: string): Uint8Array {
  const mask = binaryMask(plane, path);
  if (!mask.includes(1)) {
    throw new InputError(
      `Cannot use "${path}": the lung mask is empty (0 everywhere), so nothing in its slice can be ` +
        "learnt or scored: remove the slice",
    );
  }
  return mask;
}
