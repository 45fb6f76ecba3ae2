/** Distances and what is made of them, one slice at a time. */

/**
 * Squared distance in mm² of each pixel to the nearest set pixel (Infinity where none is):
 * Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions", 2012.
 */
export function squaredDistance(
  mask: Uint8Array,
  rows: number,
  columns: number,
  [dy, dx]: readonly [number, number],
): Float64Array {
  const far = 1e20, out = new Float64Array(rows * columns);
  for (let i = 0; i < out.length; i++) out[i] = mask[i] ? 0 : far;
  const longest = Math.max(rows, columns);
  const line = new Float64Array(longest), peak = new Int32Array(longest);
  const bound = new Float64Array(longest + 1);
  for (let x = 0; x < columns; x++) transform(out, x, columns, rows, dy * dy, line, peak, bound);
  for (let y = 0; y < rows; y++) {
    transform(out, y * columns, 1, columns, dx * dx, line, peak, bound);
  }
  for (let i = 0; i < out.length; i++) if (out[i] >= far / 2) out[i] = Infinity;
  return out;
}

/** One line of the lower envelope of parabolas w·(p − q)² + f(q). */
function transform(
  data: Float64Array,
  start: number,
  stride: number,
  count: number,
  w: number,
  line: Float64Array,
  peak: Int32Array,
  bound: Float64Array,
) {
  for (let i = 0; i < count; i++) line[i] = data[start + i * stride];
  let k = 0;
  peak[0] = 0;
  bound[0] = -Infinity;
  bound[1] = Infinity;
  for (let q = 1; q < count; q++) {
    let cross: number;
    for (;;) {
      const p = peak[k];
      cross = (line[q] - line[p] + w * (q * q - p * p)) / (2 * w * (q - p));
      if (cross > bound[k]) break;
      k--;
    }
    peak[++k] = q;
    bound[k] = cross;
    bound[k + 1] = Infinity;
  }
  for (let p = 0, j = 0; p < count; p++) {
    while (bound[j + 1] < p) j++;
    const d = p - peak[j];
    data[start + p * stride] = w * d * d + line[peak[j]];
  }
}

/**
 * Closes a slice's mask by a disc: dilation, then erosion, within a frame wide enough that the
 * image's border does not erode it.
 */
export function closeDisc(
  mask: Uint8Array,
  rows: number,
  columns: number,
  spacing: readonly [number, number],
  radiusMm: number,
): Uint8Array {
  // Work on the mask's own box with a margin of the radius; the rest stays empty.
  const [dy, dx] = spacing;
  const my = Math.ceil(radiusMm / dy) + 1, mx = Math.ceil(radiusMm / dx) + 1;
  let x0 = columns, x1 = -1, y0 = rows, y1 = -1;
  for (let y = 0, at = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++, at++) {
      if (!mask[at]) continue;
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      y1 = y;
    }
  }
  const out = new Uint8Array(mask.length);
  if (x1 < 0) return out;
  const h = y1 - y0 + 1 + 2 * my, w = x1 - x0 + 1 + 2 * mx;
  const box = new Uint8Array(h * w);
  for (let y = y0; y <= y1; y++) {
    box.set(mask.subarray(y * columns + x0, y * columns + x1 + 1), (y - y0 + my) * w + mx);
  }
  const limit = radiusMm * radiusMm;
  const grown = squaredDistance(box, h, w, spacing);
  const outside = Uint8Array.from(grown, (d) => d <= limit ? 0 : 1);
  const shrunk = squaredDistance(outside, h, w, spacing);
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      if (shrunk[(y - y0 + my) * w + x - x0 + mx] > limit) out[y * columns + x] = 1;
    }
  }
  return out;
}

/** Sets the holes of a slice's mask that have at most `maxPixels` pixels. */
export function fillHoles(mask: Uint8Array, rows: number, columns: number, maxPixels: number) {
  const seen = Uint8Array.from(mask);
  const stack: number[] = [], hole: number[] = [];
  for (let seed = 0; seed < mask.length; seed++) {
    if (seen[seed]) continue;
    hole.length = 0;
    let isOpen = false;
    seen[seed] = 1;
    stack.push(seed);
    while (stack.length > 0) {
      const at = stack.pop()!, y = Math.floor(at / columns), x = at - y * columns;
      if (hole.length <= maxPixels) hole.push(at);
      if (x === 0 || y === 0 || x === columns - 1 || y === rows - 1) isOpen = true;
      for (const next of [at - 1, at + 1, at - columns, at + columns]) {
        const wraps = next === at - 1 && x === 0 || next === at + 1 && x === columns - 1;
        if (wraps || next < 0 || next >= mask.length || seen[next]) continue;
        seen[next] = 1;
        stack.push(next);
      }
    }
    if (!isOpen && hole.length <= maxPixels) { for (const at of hole) mask[at] = 1; }
  }
}
