/**
 * Grey-level co-occurrence features (Haralick 1973; IBSI reference manual, section 3.6) of a slice,
 * under PyRadiomics' names and choices: distance 1, symmetrical, each of the four directions on its
 * own, then their mean.
 */

import { EPSILON } from "./first_order.ts";
import { DIRECTIONS, type GreyLevels } from "./grey_levels.ts";
import { singularValues } from "./linear_algebra.ts";

/** Names in the order of `glcmFeatures`' values. */
export const GLCM_NAMES = [
  "Autocorrelation",
  "ClusterProminence",
  "ClusterShade",
  "ClusterTendency",
  "Contrast",
  "Correlation",
  "DifferenceAverage",
  "DifferenceEntropy",
  "DifferenceVariance",
  "Id",
  "Idm",
  "Idmn",
  "Idn",
  "Imc1",
  "Imc2",
  "InverseVariance",
  "JointAverage",
  "JointEnergy",
  "JointEntropy",
  "MCC",
  "MaximumProbability",
  "SumAverage",
  "SumEntropy",
  "SumSquares",
] as const;

/**
 * Mean over the directions that have any pair of pixels inside the mask; NaN where none has.
 *
 * @param without names to leave out: MCC takes longer than all others.
 */
export function glcmFeatures(
  image: GreyLevels,
  without: ReadonlySet<string> = new Set(),
): number[] {
  const names = GLCM_NAMES.filter((name) => !without.has(name));
  const all = DIRECTIONS.map((step) => directionMatrix(image, step))
    .filter((matrix) => matrix !== null)
    .map((matrix) => features(matrix, image, names));
  return names.map((_, k) => all.reduce((sum, row) => sum + row[k], 0) / all.length);
}

/** Probabilities [present, present] over the grey levels that occur, or null without pairs. */
function directionMatrix(
  { levels, height, width, present }: GreyLevels,
  [down, right]: readonly [number, number],
): Float64Array | null {
  const size = present.length, matrix = new Float64Array(size * size);
  const index = new Int32Array(present[size - 1] + 1);
  present.forEach((level, i) => index[level] = i);
  let pairs = 0;
  for (let y = 0; y + down < height; y++) {
    for (let x = Math.max(0, -right); x < width && x + right < width; x++) {
      const a = levels[y * width + x], b = levels[(y + down) * width + x + right];
      if (a === 0 || b === 0) continue;
      matrix[index[a] * size + index[b]]++;
      matrix[index[b] * size + index[a]]++;
      pairs += 2;
    }
  }
  return pairs === 0 ? null : matrix.map((count) => count / pairs);
}

function features(
  p: Float64Array,
  { present }: GreyLevels,
  names: readonly (typeof GLCM_NAMES[number])[],
): number[] {
  const size = present.length, levels = present[size - 1]; // PyRadiomics' Ng is the largest level
  const sums = new Float64Array(2 * levels + 1), differences = new Float64Array(levels);
  const marginal = new Float64Array(size); // of rows and columns alike: the matrix is symmetrical
  let mean = 0;
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < size; b++) {
      const value = p[a * size + b];
      sums[present[a] + present[b]] += value;
      differences[Math.abs(present[a] - present[b])] += value;
      marginal[a] += value;
      mean += present[a] * value;
    }
  }
  const over = (distribution: Float64Array, of: (k: number) => number) => {
    let sum = 0;
    for (let k = 0; k < distribution.length; k++) {
      if (distribution[k] !== 0) sum += of(k) * distribution[k];
    }
    return sum;
  };
  const entropy = (distribution: Float64Array) =>
    -over(distribution, (k) => Math.log2(distribution[k] + EPSILON));
  const pairs = (of: (i: number, j: number) => number) =>
    over(p, (at) => of(present[Math.floor(at / size)], present[at % size]));

  const variance = pairs((i) => (i - mean) ** 2);
  const covariance = pairs((i, j) => (i - mean) * (j - mean));
  const differenceMean = over(differences, (k) => k);
  const jointEntropy = entropy(p), marginalEntropy = entropy(marginal);
  let crossEntropy = 0, independentEntropy = 0, energy = 0, largest = 0;
  for (let a = 0; a < size; a++) {
    for (let b = 0; b < size; b++) {
      const value = p[a * size + b], product = marginal[a] * marginal[b];
      const log = Math.log2(product + EPSILON);
      crossEntropy -= value * log;
      independentEntropy -= product * log;
      energy += value * value;
      largest = Math.max(largest, value);
    }
  }
  const of: Record<typeof GLCM_NAMES[number], number> = {
    Autocorrelation: pairs((i, j) => i * j),
    ClusterProminence: over(sums, (k) => (k - 2 * mean) ** 4),
    ClusterShade: over(sums, (k) => (k - 2 * mean) ** 3),
    ClusterTendency: over(sums, (k) => (k - 2 * mean) ** 2),
    Contrast: over(differences, (k) => k * k),
    Correlation: variance === 0 ? 1 : covariance / (variance + EPSILON),
    DifferenceAverage: differenceMean,
    DifferenceEntropy: entropy(differences),
    DifferenceVariance: over(differences, (k) => (k - differenceMean) ** 2),
    Id: over(differences, (k) => 1 / (1 + k)),
    Idm: over(differences, (k) => 1 / (1 + k * k)),
    Idmn: over(differences, (k) => 1 / (1 + k * k / levels ** 2)),
    Idn: over(differences, (k) => 1 / (1 + k / levels)),
    Imc1: marginalEntropy === 0 ? 0 : (jointEntropy - crossEntropy) / marginalEntropy,
    Imc2: independentEntropy <= jointEntropy
      ? 0
      : Math.sqrt(1 - Math.exp(-2 * (independentEntropy - jointEntropy))),
    InverseVariance: over(differences, (k) => k === 0 ? 0 : 1 / k ** 2),
    JointAverage: mean,
    JointEnergy: energy,
    JointEntropy: jointEntropy,
    MCC: names.includes("MCC") ? maximalCorrelation(p, marginal) : NaN,
    MaximumProbability: largest,
    SumAverage: over(sums, (k) => k),
    SumEntropy: entropy(sums),
    SumSquares: variance,
  };
  return names.map((name) => of[name]);
}

/**
 * Maximal correlation coefficient: √ of the second largest eigenvalue of
 * Q(i, j) = Σ_k p(i, k)·p(j, k)/(p(i)·p(k)). With S = D^(−½)·P·D^(−½) and D the marginal, Q is
 * similar to S·Sᵀ, so that the root is the second singular value of S. A flat region has 1.
 */
function maximalCorrelation(p: Float64Array, marginal: Float64Array): number {
  // Levels that have no pair in this direction only add zero eigenvalues.
  const rows = [...marginal.keys()].filter((i) => marginal[i] > 0);
  if (marginal.length < 2) return 1;
  if (rows.length < 2) return 0;
  const size = marginal.length;
  const scaled = Float64Array.from({ length: rows.length ** 2 }, (_, at) => {
    const i = rows[Math.floor(at / rows.length)], j = rows[at % rows.length];
    return p[i * size + j] / Math.sqrt(marginal[i] * marginal[j]);
  });
  return singularValues(scaled, rows.length, rows.length)[1];
}
