/**
 * Resizing of single planes, as torch.nn.functional.interpolate computes it (formulas: ATen
 * native/UpSample.h and native/cpu/UpSampleKernel.cpp). Coordinates are rounded to float32 where
 * PyTorch's are, since that decides which pixel is taken.
 */

/** Rows and columns of a plane. */
export interface Size {
  height: number;
  width: number;
}

/** For every output index: the first input index read and the weights from there on. */
interface Taps {
  start: Int32Array;
  weights: Float32Array[];
}

const f = Math.fround;

/** `mode="bilinear", align_corners=False, antialias=False`: two taps an axis, whatever the scale. */
function bilinearTaps(from: number, to: number): Taps {
  const start = new Int32Array(to), weights: Float32Array[] = [];
  const scale = f(from / to);
  for (let i = 0; i < to; i++) {
    const at = from === to ? i : Math.max(0, f(f(scale * f(i + 0.5)) - 0.5));
    start[i] = Math.min(Math.floor(at), from - 1);
    const upper = f(Math.min(Math.max(at - start[i], 0), 1));
    weights.push(start[i] + 1 < from ? Float32Array.of(1 - upper, upper) : Float32Array.of(1));
  }
  return { start, weights };
}

/** `antialias=True`: a triangle as wide as the scale, normalised over the pixels that exist. */
function antialiasTaps(from: number, to: number): Taps {
  const start = new Int32Array(to), weights: Float32Array[] = [];
  const scale = f(from / to), support = Math.max(1, scale), inverse = 1 / support;
  for (let i = 0; i < to; i++) {
    const centre = f(scale * f(i + 0.5));
    const first = Math.max(Math.trunc(f(f(centre - support) + 0.5)), 0);
    const end = Math.min(Math.trunc(f(f(centre + support) + 0.5)), from);
    const row = new Float32Array(end - first);
    let sum = 0;
    for (let j = 0; j < row.length; j++) {
      row[j] = Math.max(0, 1 - Math.abs((j + first - centre + 0.5) * inverse));
      sum += row[j];
    }
    for (let j = 0; j < row.length; j++) row[j] /= sum;
    start[i] = first;
    weights.push(row);
  }
  return { start, weights };
}

/** The share of each input pixel that lies under an output pixel, of the output pixel's own area. */
function areaTaps(from: number, to: number): Taps {
  const start = new Int32Array(to), weights: Float32Array[] = [];
  for (let i = 0; i < to; i++) {
    const low = i * from / to, high = (i + 1) * from / to;
    const first = Math.floor(low), end = Math.min(from, Math.ceil(high - 1e-9));
    start[i] = first;
    weights.push(Float32Array.from(
      { length: end - first },
      (_, j) => (Math.min(high, first + j + 1) - Math.max(low, first + j)) / (high - low),
    ));
  }
  return { start, weights };
}

/** Columns first, then rows, with a float32 plane between them. */
function applyTaps(data: ArrayLike<number>, from: Size, to: Size, columns: Taps, rows: Taps) {
  const middle = new Float32Array(from.height * to.width);
  for (let y = 0; y < from.height; y++) {
    for (let x = 0; x < to.width; x++) {
      const weights = columns.weights[x], at = y * from.width + columns.start[x];
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * data[at + k];
      middle[y * to.width + x] = sum;
    }
  }
  const out = new Float32Array(to.height * to.width);
  for (let y = 0; y < to.height; y++) {
    const weights = rows.weights[y], at = rows.start[y];
    for (let x = 0; x < to.width; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * middle[(at + k) * to.width + x];
      out[y * to.width + x] = sum;
    }
  }
  return out;
}

/**
 * Bilinear, `align_corners=False`. Without antialias only two pixels an axis are looked at, so
 * that shrinking by more than 2 skips pixels; that is PyTorch's default.
 * @param data the plane, [from.height, from.width].
 */
export function resizeBilinear(
  data: ArrayLike<number>,
  from: Size,
  to: Size,
  { antialias = false }: { antialias?: boolean } = {},
): Float32Array {
  checkSizes(data.length, from, to);
  const taps = antialias ? antialiasTaps : bilinearTaps;
  return applyTaps(data, from, to, taps(from.width, to.width), taps(from.height, to.height));
}

/**
 * `mode="area"` for any sizes: the mean over what lies under each output pixel. Of a mask that is its
 * coverage, in [0, 1], so that what is smaller than a pixel does not vanish.
 */
export function resizeArea(data: ArrayLike<number>, from: Size, to: Size): Float32Array {
  checkSizes(data.length, from, to);
  return applyTaps(
    data,
    from,
    to,
    areaTaps(from.width, to.width),
    areaTaps(from.height, to.height),
  );
}

/** `mode="nearest"`: pixel ⌊i·from/to⌋, the scale in float32. */
export function resizeNearest<T extends Uint8Array | Float32Array>(
  data: T,
  from: Size,
  to: Size,
): T {
  checkSizes(data.length, from, to);
  const pick = (source: number, target: number) => {
    const scale = f(source / target);
    return Int32Array.from(
      { length: target },
      (_, i) => Math.min(Math.floor(f(i * scale)), source - 1),
    );
  };
  const xs = pick(from.width, to.width), ys = pick(from.height, to.height);
  const out = new (data.constructor as new (length: number) => T)(to.height * to.width);
  for (let y = 0; y < to.height; y++) {
    for (let x = 0; x < to.width; x++) out[y * to.width + x] = data[ys[y] * from.width + xs[x]];
  }
  return out;
}

function checkSizes(length: number, from: Size, to: Size) {
  const whole = [from.height, from.width, to.height, to.width].every((v) =>
    Number.isInteger(v) && v > 0
  );
  if (!whole || length !== from.height * from.width) {
    throw new Error(
      `Cannot resize ${length} values as [${from.height},${from.width}] to ` +
        `[${to.height},${to.width}]`,
    );
  }
}
