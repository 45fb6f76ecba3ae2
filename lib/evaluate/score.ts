/** What an evaluation says: a flat list of scores, each with what one needs to read it. */

import type { Summary } from "../metrics/bootstrap.ts";

export interface Score {
  /** Column of metrics.csv. */
  name: string;
  /** For people. */
  label: string;
  group: string;
  unit: string;
  /** null: not computed, and `note` says why. */
  value: number | null;
  /** Over the slices, ddof 0. */
  deviation?: number;
  /** 95 % bootstrap interval of the mean. */
  low?: number;
  high?: number;
  /** The same figure between real slices: what a perfect generator would get. */
  reference?: number | null;
  better: "higher" | "lower" | "";
  /** Why it was not computed, or how far to trust it. */
  note?: string;
  /** Where the formula comes from. */
  source: string;
}

/** Everything about a score but its figures. */
export interface Metric {
  name: string;
  label: string;
  group: string;
  unit: string;
  better: Score["better"];
  source: string;
}

const TM = "torchmetrics 1.9";
const PAIRS = "Each slice against the real one of its mask";
const SETS = "Set against set, networks";
const FREE = "Set against set, no network";
const CONDITIONS = "Does it obey its conditions?";
const COPIES = "Is it copying?";

const metric = (
  group: string,
  name: string,
  label: string,
  unit: string,
  better: Score["better"],
  source: string,
): Metric => ({ group, name, label, unit, better, source });

/** Every metric there is, in the order of the tables. */
export const METRICS = [
  metric(PAIRS, "psnr", "PSNR, both times the mask", "dB", "higher", TM),
  metric(PAIRS, "ssim", "SSIM, both times the mask", "", "higher", `${TM} (Wang 2004)`),
  metric(PAIRS, "mse", "MSE, both times the mask", "", "lower", "mean over all pixels"),
  metric(PAIRS, "ssim_cropped", "SSIM, 5 border pixels cut", "", "higher", "torchmetrics ≤ 1.4.1"),
  metric(PAIRS, "ms_ssim", "MS-SSIM, both times the mask", "", "higher", `${TM} (Wang 2003)`),
  metric(PAIRS, "psnr_in_mask", "PSNR inside the mask", "dB", "higher", TM),
  metric(PAIRS, "ssim_in_mask", "SSIM map inside the mask", "", "higher", "Wang 2004"),
  metric(PAIRS, "mse_in_mask", "MSE inside the mask", "", "lower", "mean over the mask"),
  metric(PAIRS, "lpips", "LPIPS (alex 0.1)", "", "lower", "Zhang 2018, images in [−1, 1]"),
  metric(PAIRS, "lpips_01", "LPIPS as the original feeds it", "", "lower", "images in [0, 1]"),
  metric(SETS, "fid", "FID", "", "lower", "Heusel 2017, torch-fidelity's network"),
  metric(SETS, "fid_infinity", "FID∞", "", "lower", "Chong and Forsyth 2020"),
  metric(SETS, "kid", "KID × 1000", "", "lower", "Bińkowski 2018, torch-fidelity"),
  metric(SETS, "inception_score", "Inception Score", "", "higher", "Salimans 2016, torch-fidelity"),
  metric(FREE, "frd", "FRD (398 features), ln d²", "", "lower", "Konz 2026, frd-score 1.0.1"),
  metric(
    FREE,
    "frd_subset",
    "FRD-subset (57 features)",
    "",
    "lower",
    "Konz 2024; IBSI; PyRadiomics",
  ),
  metric(FREE, "mmd", "MMD² of radiomic features", "", "lower", "Gretton 2012, median RBF"),
  metric(FREE, "hu_distance", "HU histogram distance in mask", "HU", "lower", "1-Wasserstein"),
  metric(FREE, "spectrum_distance", "Radial power spectrum distance", "dB", "lower", "Durall 2020"),
  metric(
    CONDITIONS,
    "mask_dice",
    "Mask adherence (Dice)",
    "",
    "higher",
    "own segmenter, see docs/evaluation.md",
  ),
  metric(CONDITIONS, "nodule_auc", "Nodule agreement (AUC)", "", "higher", "own classifier"),
  metric(CONDITIONS, "nodule_agreement", "Verdict as asked for", "", "higher", "own classifier"),
  metric(
    COPIES,
    "memorised_pixels",
    "Suspiciously near one patient, pixels",
    "",
    "lower",
    "see docs/evaluation.md",
  ),
  metric(COPIES, "memorised_features", "… and in features", "", "lower", "see docs/evaluation.md"),
  metric(COPIES, "copied", "Within 10 HU of a training slice", "", "lower", "or its mirror image"),
] as const satisfies readonly Metric[];

/** A score with a value for each slice. */
export function fromSummary(name: string, summary: Summary | null, note?: string): Score {
  if (!summary) return notComputed(name, note ?? "there is nothing to compare");
  const { mean, deviation, low, high } = summary;
  return { ...metricOf(name), value: mean, deviation, low, high, note };
}

/** A score of whole sets. */
export function fromValue(
  name: string,
  value: number,
  more: { reference?: number | null; note?: string; deviation?: number } = {},
): Score {
  return { ...metricOf(name), value, ...more };
}

export function notComputed(name: string, note: string): Score {
  return { ...metricOf(name), value: null, note };
}

export function metricOf(name: string): Metric {
  const found = METRICS.find((one) => one.name === name);
  if (!found) throw new Error(`There is no metric "${name}"`);
  return found;
}
