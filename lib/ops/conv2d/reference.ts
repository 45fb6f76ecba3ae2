/** The three convolutions in float64, one row of pixels at a time. */

import type { Geometry } from "./geometry.ts";

/**
 * Calls `visit` for every run of output pixels that meets kernel position (kh, kw) inside x:
 * y[yAt + i] belongs to weight[wAt] and x[xAt + i·stride] for i < count.
 */
function forRuns(
  g: Geometry,
  visit: (yAt: number, wAt: number, xAt: number, count: number) => void,
): void {
  for (let kh = 0; kh < g.kh; kh++) {
    for (let kw = 0; kw < g.kw; kw++) {
      const first = Math.max(0, Math.ceil((g.left - kw) / g.stride));
      const end = Math.min(g.wo, Math.floor((g.w - 1 + g.left - kw) / g.stride) + 1);
      if (end <= first) continue;
      for (let oy = 0; oy < g.ho; oy++) {
        const iy = oy * g.stride + kh - g.top;
        if (iy < 0 || iy >= g.h) continue;
        for (let n = 0; n < g.n; n++) {
          for (let co = 0; co < g.co; co++) {
            const yAt = ((n * g.co + co) * g.ho + oy) * g.wo + first;
            for (let ci = 0; ci < g.ci; ci++) {
              const xAt = ((n * g.ci + ci) * g.h + iy) * g.w + first * g.stride + kw - g.left;
              visit(yAt, ((co * g.ci + ci) * g.kh + kh) * g.kw + kw, xAt, end - first);
            }
          }
        }
      }
    }
  }
}

export function forwardReference(
  g: Geometry,
  x: Float64Array,
  weight: Float64Array,
): Float64Array {
  const y = new Float64Array(g.n * g.co * g.ho * g.wo);
  forRuns(g, (yAt, wAt, xAt, count) => {
    for (let i = 0; i < count; i++) y[yAt + i] += weight[wAt] * x[xAt + i * g.stride];
  });
  return y;
}

export function backwardDataReference(
  g: Geometry,
  dy: Float64Array,
  weight: Float64Array,
): Float64Array {
  const dx = new Float64Array(g.n * g.ci * g.h * g.w);
  forRuns(g, (yAt, wAt, xAt, count) => {
    for (let i = 0; i < count; i++) dx[xAt + i * g.stride] += weight[wAt] * dy[yAt + i];
  });
  return dx;
}

export function backwardWeightReference(
  g: Geometry,
  x: Float64Array,
  dy: Float64Array,
): Float64Array {
  const dw = new Float64Array(g.co * g.ci * g.kh * g.kw);
  forRuns(g, (yAt, wAt, xAt, count) => {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += dy[yAt + i] * x[xAt + i * g.stride];
    dw[wAt] += sum;
  });
  return dw;
}
