/**
 * The images that FRD takes its features of, as PyRadiomics makes them from a slice: normalised, at
 * half the resolution (cubic B-spline), and its four wavelet bands. Pixels are float32, as there.
 */

export interface Masked {
  readonly height: number;
  readonly width: number;
  readonly image: Float32Array;
  /** 0 or 1. */
  readonly mask: Uint8Array;
}

/** Zero mean and a standard deviation (ddof 1) of `scale` over the whole slice. */
export function normalised(image: ArrayLike<number>, scale: number): Float32Array {
  const count = image.length;
  let mean = 0, squares = 0;
  for (let i = 0; i < count; i++) mean += image[i] / count;
  for (let i = 0; i < count; i++) squares += (image[i] - mean) ** 2;
  const deviation = Math.sqrt(squares / (count - 1));
  return Float32Array.from(image, (v) => Math.fround((v - mean) / deviation) * scale);
}

/** √3 − 2: the pole of the cubic B-spline (Unser 1993). */
const POLE = Math.sqrt(3) - 2;
const TOLERANCE = 1e-10;

/** Values of a line become coefficients of the cubic B-spline through them, mirrored at the ends. */
function splineCoefficients(line: Float64Array): void {
  const n = line.length;
  if (n === 1) return;
  const gain = (1 - POLE) * (1 - 1 / POLE);
  for (let i = 0; i < n; i++) line[i] *= gain;
  const horizon = Math.ceil(Math.log(TOLERANCE) / Math.log(Math.abs(POLE)));
  let power = POLE, first = line[0];
  if (horizon < n) {
    for (let i = 1; i < horizon; i++, power *= POLE) first += power * line[i];
  } else {
    const inverse = 1 / POLE;
    let back = POLE ** (n - 1);
    first += back * line[n - 1];
    back *= back * inverse;
    for (let i = 1; i < n - 1; i++, power *= POLE, back *= inverse) {
      first += (power + back) * line[i];
    }
    first /= 1 - power * power;
  }
  line[0] = first;
  for (let i = 1; i < n; i++) line[i] += POLE * line[i - 1];
  line[n - 1] = POLE / (POLE * POLE - 1) * (POLE * line[n - 2] + line[n - 1]);
  for (let i = n - 2; i >= 0; i--) line[i] = POLE * (line[i + 1] - line[i]);
}

/** Which pixels a line of new pixels covers: the first and the number, for pixels twice as large. */
function coverage(low: number, size: number, length: number, pad: number) {
  const most = Math.ceil(length / 2) - 1;
  const from = Math.max(0, Math.floor((low - 0.5) / 2 - pad));
  const to = Math.min(most, Math.ceil((low + size - 0.5) / 2 + pad));
  return { from, count: to - from + 1 };
}

/**
 * Pixels of twice the side around the mask, `pad` more on each side where there are any: the image by
 * cubic B-spline, the mask by nearest neighbour. What would lie beyond the slice is 0.
 */
export function halved({ image, mask, height, width }: Masked, pad: number): Masked {
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let i = 0; i < mask.length; i++) {
    if (!mask[i]) continue;
    const y = Math.floor(i / width), x = i % width;
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
  }
  const coefficients = Float64Array.from(image);
  for (let y = 0; y < height; y++) {
    splineCoefficients(coefficients.subarray(y * width, (y + 1) * width));
  }
  const column = new Float64Array(height);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) column[y] = coefficients[y * width + x];
    splineCoefficients(column);
    for (let y = 0; y < height; y++) coefficients[y * width + x] = column[y];
  }
  const rows = coverage(top, bottom - top + 1, height, pad);
  const columns = coverage(left, right - left + 1, width, pad);
  const out = {
    height: rows.count,
    width: columns.count,
    image: new Float32Array(rows.count * columns.count),
    mask: new Uint8Array(rows.count * columns.count),
  };
  // New pixels lie half way between two old ones, where the B-spline's weights are these.
  const weights = [1 / 48, 23 / 48, 23 / 48, 1 / 48];
  const mirror = (i: number, n: number) => n === 1 ? 0 : i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
  for (let v = 0; v < rows.count; v++) {
    for (let u = 0; u < columns.count; u++) {
      const y = 2 * (v + rows.from), x = 2 * (u + columns.from), to = v * columns.count + u;
      if (y + 1 >= height || x + 1 >= width) continue;
      let sum = 0;
      for (let j = 0; j < 4; j++) {
        const row = mirror(y - 1 + j, height) * width;
        for (let i = 0; i < 4; i++) {
          sum += weights[j] * weights[i] * coefficients[row + mirror(x - 1 + i, width)];
        }
      }
      out.image[to] = sum;
      // Two old pixels are equally near. ITK takes the second, but along a row it finds the place as a
      // part of the row, and where that is rounded down, the first.
      const place = 2 * columns.from + 0.5 + u / columns.count * (2 * columns.count);
      out.mask[to] = mask[(y + 1) * width + Math.floor(place + 0.5)];
    }
  }
  return out;
}

/** Coiflet 1, decomposition (Daubechies 1992). */
const LOW = [
  -0.015655728135791993,
  -0.07273261951252645,
  0.3848648468648578,
  0.8525720202116004,
  0.3378976624574818,
  -0.07273261951252645,
];
const HIGH = LOW.map((_, k) => (k % 2 ? 1 : -1) * LOW[5 - k]);

/** One level of the undecimated transform along rows (`step` 1) or columns, periodic. */
function filtered(
  image: Float32Array,
  count: number,
  length: number,
  step: number,
  taps: number[],
) {
  const out = new Float32Array(image.length), across = step === 1 ? length : 1;
  for (let line = 0; line < count; line++) {
    for (let n = 0; n < length; n++) {
      let sum = 0;
      for (let k = 0; k < 6; k++) {
        sum += taps[k] * image[line * across + (n + 3 - k + length) % length * step];
      }
      out[line * across + n * step] = sum;
    }
  }
  return out;
}

/** The bands of PyRadiomics' `wavelet-XY`: X says how columns were filtered (along x), Y rows. */
export function wavelets({ image, height, width }: Omit<Masked, "mask">): [string, Float32Array][] {
  // An odd side is made even by its first line again.
  const h = height + height % 2, w = width + width % 2;
  const padded = Float32Array.from(
    { length: h * w },
    (_, i) => image[Math.floor(i / w) % height * width + i % w % width],
  );
  const bands: [string, Float32Array][] = [];
  for (const [x, alongX] of [["L", LOW], ["H", HIGH]] as const) {
    const half = filtered(padded, h, w, 1, alongX);
    for (const [y, alongY] of [["L", LOW], ["H", HIGH]] as const) {
      const whole = filtered(half, w, h, w, alongY);
      const band = Float32Array.from(
        { length: height * width },
        (_, i) => whole[Math.floor(i / width) * w + i % width],
      );
      bands.push([x + y, band]);
    }
  }
  return bands;
}
