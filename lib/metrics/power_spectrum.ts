/**
 * Azimuthally averaged power spectrum (Durall et al. 2020, "Watch your up-convolution"): whether
 * generated slices have real ones' fine grain, which smooth images and checkerboards do not.
 */

/**
 * Mean power of the image's two-dimensional Fourier transform over rings of equal spatial
 * frequency: entry k is over the coefficients whose distance from 0, in cycles per image side,
 * rounds to k, for k up to half the shorter side. The image's mean is taken away first; the power is
 * over the number of pixels, so that white noise of variance v has v everywhere.
 */
export function radialSpectrum(
  image: ArrayLike<number>,
  { height, width }: { height: number; width: number },
): Float64Array {
  let mean = 0;
  for (let i = 0; i < image.length; i++) mean += image[i] / image.length;
  const real = Float64Array.from(image, (value) => value - mean);
  const imaginary = new Float64Array(image.length);
  transform(real, imaginary, height, width, 1, width);
  transform(real, imaginary, width, height, width, 1);

  const side = Math.min(height, width), rings = Math.floor(side / 2) + 1;
  const power = new Float64Array(rings), count = new Float64Array(rings);
  for (let y = 0; y < height; y++) {
    const fy = Math.min(y, height - y) / height * side;
    for (let x = 0; x < width; x++) {
      const ring = Math.round(Math.hypot(fy, Math.min(x, width - x) / width * side));
      if (ring >= rings) continue; // the corners
      const i = y * width + x;
      power[ring] += (real[i] ** 2 + imaginary[i] ** 2) / image.length;
      count[ring]++;
    }
  }
  return power.map((value, ring) => value / count[ring]);
}

/** Mean of the images' spectra. */
export function meanSpectrum(
  images: readonly ArrayLike<number>[],
  size: { height: number; width: number },
): Float64Array {
  const spectra = images.map((image) => radialSpectrum(image, size));
  return spectra[0].map((_, k) => spectra.reduce((sum, s) => sum + s[k], 0) / spectra.length);
}

/**
 * Log-spectral distance: root mean square over the rings (the mean's left out) of
 * 10·log10(a) − 10·log10(b), in dB. Power below 1e-12 counts as that.
 */
export function spectralDistance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length || a.length < 2) {
    throw new RangeError(`Cannot compare spectra of ${a.length} and ${b.length} rings`);
  }
  let sum = 0;
  for (let k = 1; k < a.length; k++) {
    sum += (10 * Math.log10(Math.max(a[k], 1e-12) / Math.max(b[k], 1e-12))) ** 2;
  }
  return Math.sqrt(sum / (a.length - 1));
}

/** Fourier transform of `lines` lines of `length` values, `step` apart within a line, in place. */
function transform(
  real: Float64Array,
  imaginary: Float64Array,
  lines: number,
  length: number,
  step: number,
  lineStep: number,
) {
  const cosine = Float64Array.from(
    { length },
    (_, k) => Math.cos(2 * Math.PI * k / length),
  );
  const sine = Float64Array.from({ length }, (_, k) => -Math.sin(2 * Math.PI * k / length));
  const re = new Float64Array(length), im = new Float64Array(length);
  const fast = (length & (length - 1)) === 0;
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < length; i++) {
      re[i] = real[line * lineStep + i * step];
      im[i] = imaginary[line * lineStep + i * step];
    }
    const [outRe, outIm] = fast
      ? (cooleyTukey(re, im, cosine, sine), [re, im])
      : plain(re, im, cosine, sine);
    for (let i = 0; i < length; i++) {
      real[line * lineStep + i * step] = outRe[i];
      imaginary[line * lineStep + i * step] = outIm[i];
    }
  }
}

/** The sum as it stands, for lengths that are no power of two. */
function plain(re: Float64Array, im: Float64Array, cosine: Float64Array, sine: Float64Array) {
  const n = re.length, outRe = new Float64Array(n), outIm = new Float64Array(n);
  for (let k = 0; k < n; k++) {
    for (let i = 0, at = 0; i < n; i++, at = (at + k) % n) {
      outRe[k] += re[i] * cosine[at] - im[i] * sine[at];
      outIm[k] += re[i] * sine[at] + im[i] * cosine[at];
    }
  }
  return [outRe, outIm];
}

/** Radix 2, decimation in time. */
function cooleyTukey(re: Float64Array, im: Float64Array, cosine: Float64Array, sine: Float64Array) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2, stride = n / size;
    for (let start = 0; start < n; start += size) {
      for (let k = 0; k < half; k++) {
        const a = start + k, b = a + half, c = cosine[k * stride], s = sine[k * stride];
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x;
        im[b] = im[a] - y;
        re[a] += x;
        im[a] += y;
      }
    }
  }
}
