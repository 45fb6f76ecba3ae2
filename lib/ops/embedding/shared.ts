/** embedding: what its modules share. */

/** The frequencies of {@link timestepEmbedding}. */
export interface TimestepEmbeddingOptions {
  /** Columns: half sines, half cosines, and a zero if odd. */
  readonly dim: number;
  /** Cosines first. */
  readonly flipSinToCos: boolean;
  /** The frequencies fall from 1 to 1/maxPeriod over dim/2 − this many steps. */
  readonly downscaleFreqShift: number;
  /** Default 10,000. */
  readonly maxPeriod?: number;
}

export type TimestepEmbeddingAttrs = Required<TimestepEmbeddingOptions>;

/**
 * Rounded where PyTorch rounds to float32: at t = 999 a frequency that is off by half an ULP moves
 * the sine by 3e-5. (Its exp is within one ULP, nearly always the nearest number, as here.)
 */
export function frequencies(dim: number, shift: number, maxPeriod: number): number[] {
  const half = Math.floor(dim / 2);
  const log = Math.fround(-Math.log(maxPeriod));
  return Array.from({ length: half }, (_, i) => {
    const exponent = Math.fround(Math.fround(log * i) / Math.fround(half - shift));
    return Math.fround(Math.exp(exponent));
  });
}
