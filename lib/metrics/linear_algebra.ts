/** Dense float64 linear algebra that the distances between feature sets need. Row-major. */

/** Rows of features: `data` is [count, size] in C order. */
export interface Features {
  count: number;
  size: number;
  data: Float32Array | Float64Array;
}

export interface Centred {
  mean: Float64Array;
  /** The rows less their mean, [count, size]. */
  rows: Float64Array;
}

/** Column means and centred rows. */
export function centre({ count, size, data }: Features): Centred {
  const mean = new Float64Array(size), rows = new Float64Array(count * size);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < size; j++) mean[j] += data[i * size + j];
  }
  for (let j = 0; j < size; j++) mean[j] /= count;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < size; j++) rows[i * size + j] = data[i * size + j] - mean[j];
  }
  return { mean, rows };
}

/** a·bᵀ of a [n, d] and b [m, d], as [n, m]. */
export function productTransposed(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  n: number,
  m: number,
  d: number,
): Float64Array {
  const out = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let k = 0, ia = i * d, ib = j * d; k < d; k++) sum += a[ia + k] * b[ib + k];
      out[i * m + j] = sum;
    }
  }
  return out;
}

/**
 * The triangular factor R [columns, columns] of a QR decomposition by Householder reflections
 * (Golub and Van Loan, algorithm 5.2.1), so that RᵀR = AᵀA without squaring the condition number.
 * Needs rows ≥ columns.
 */
export function triangularFactor(
  matrix: Float64Array,
  rows: number,
  columns: number,
): Float64Array {
  const a = matrix.slice();
  const sums = new Float64Array(columns);
  for (let k = 0; k < columns; k++) reflectColumn(a, rows, columns, k, sums);
  const out = new Float64Array(columns * columns);
  for (let i = 0; i < columns; i++) {
    out.set(a.subarray(i * columns + i, (i + 1) * columns), i * columns + i);
  }
  return out;
}

/**
 * Singular values of a [rows, columns] matrix, largest first, each within a few units of rounding
 * of the largest: Golub–Kahan bidiagonalisation, then the eigenvalues of the symmetric tridiagonal
 * matrix with zero diagonal and the bidiagonal's entries beside it, which are plus and minus the
 * singular values (Golub and Van Loan, section 8.6). No square is taken, so small ones keep digits.
 */
export function singularValues(
  matrix: Float64Array,
  rows: number,
  columns: number,
): Float64Array {
  if (rows < columns) {
    const transposed = new Float64Array(matrix.length);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) transposed[j * rows + i] = matrix[i * columns + j];
    }
    return singularValues(transposed, columns, rows);
  }
  const a = matrix.slice();
  const sums = new Float64Array(columns);
  const beside = new Float64Array(2 * columns); // d0, e0, d1, e1, …
  for (let k = 0; k < columns; k++) {
    beside[2 * k] = reflectColumn(a, rows, columns, k, sums);
    if (k + 1 < columns) beside[2 * k + 1] = reflectRow(a, rows, columns, k);
  }
  const eigenvalues = tridiagonalEigenvalues(new Float64Array(2 * columns), beside);
  return eigenvalues.sort().reverse().slice(0, columns).map((value) => Math.max(0, value));
}

/** Zeroes column k below the diagonal, applies the reflection to the rest; returns a[k][k]. */
function reflectColumn(
  a: Float64Array,
  rows: number,
  columns: number,
  k: number,
  sums: Float64Array,
): number {
  let squares = 0;
  for (let i = k; i < rows; i++) squares += a[i * columns + k] ** 2;
  const first = a[k * columns + k];
  const norm = Math.sqrt(squares);
  if (norm === 0) return 0;
  const diagonal = first > 0 ? -norm : norm;
  // v = column − diagonal·e₁; H = I − v·vᵀ/beta with beta = |v|²/2 = norm·(norm + |first|).
  const beta = norm * (norm + Math.abs(first));
  a[k * columns + k] = first - diagonal;
  sums.fill(0, k + 1);
  for (let i = k; i < rows; i++) {
    const row = i * columns, v = a[row + k];
    if (v !== 0) { for (let j = k + 1; j < columns; j++) sums[j] += v * a[row + j]; }
  }
  for (let i = k; i < rows; i++) {
    const row = i * columns, v = a[row + k] / beta;
    if (v !== 0) { for (let j = k + 1; j < columns; j++) a[row + j] -= v * sums[j]; }
  }
  for (let i = k + 1; i < rows; i++) a[i * columns + k] = 0;
  return a[k * columns + k] = diagonal;
}

/** Zeroes row k right of the superdiagonal, applies the reflection below; returns a[k][k+1]. */
function reflectRow(a: Float64Array, rows: number, columns: number, k: number): number {
  const top = k * columns;
  let squares = 0;
  for (let j = k + 1; j < columns; j++) squares += a[top + j] ** 2;
  const first = a[top + k + 1];
  const norm = Math.sqrt(squares);
  if (norm === 0) return 0;
  const beside = first > 0 ? -norm : norm;
  const beta = norm * (norm + Math.abs(first));
  a[top + k + 1] = first - beside;
  for (let i = k + 1; i < rows; i++) {
    const row = i * columns;
    let sum = 0;
    for (let j = k + 1; j < columns; j++) sum += a[row + j] * a[top + j];
    sum /= beta;
    for (let j = k + 1; j < columns; j++) a[row + j] -= sum * a[top + j];
  }
  return beside;
}

/**
 * Eigenvalues of a symmetric tridiagonal matrix by implicit QL (EISPACK `tql1`; Numerical Recipes
 * `tqli` without vectors). `diagonal` and `beside` (beside[i] between i and i + 1; one longer than
 * it need be) are overwritten.
 */
function tridiagonalEigenvalues(diagonal: Float64Array, beside: Float64Array): Float64Array {
  const d = diagonal, e = beside, n = d.length;
  e[n - 1] = 0;
  // An absolute floor: with a zero diagonal a test relative to the neighbours never ends.
  let scale = 0;
  for (let i = 0; i < n; i++) scale = Math.max(scale, Math.abs(d[i]), Math.abs(e[i]));
  const tiny = scale * Number.EPSILON;
  for (let low = 0; low < n; low++) {
    for (let iteration = 0;; iteration++) {
      let m = low;
      while (m < n - 1 && Math.abs(e[m]) > tiny) m++;
      if (m === low) break;
      if (iteration === 200) throw new Error("Singular values did not converge in 200 iterations");
      let g = (d[low + 1] - d[low]) / (2 * e[low]);
      let r = Math.hypot(g, 1);
      g = d[m] - d[low] + e[low] / (g + (g >= 0 ? r : -r));
      let sine = 1, cosine = 1, p = 0, split = false;
      for (let i = m - 1; i >= low; i--) {
        const f = sine * e[i], b = cosine * e[i];
        e[i + 1] = r = Math.hypot(f, g);
        if (r === 0) {
          d[i + 1] -= p;
          e[m] = 0;
          split = true;
          break;
        }
        sine = f / r;
        cosine = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * sine + 2 * cosine * b;
        d[i + 1] = g + (p = sine * r);
        g = cosine * r - b;
      }
      if (split) continue;
      d[low] -= p;
      e[low] = g;
      e[m] = 0;
    }
  }
  return d;
}
