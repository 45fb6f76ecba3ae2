/** Scores generated slices against real ones: everything `deno task evaluate` reports. */

import type { Size } from "../data/resize.ts";
import { unwindowHu } from "../data/window.ts";
import { summarise, type Summary } from "../metrics/bootstrap.ts";
import { takeRows } from "../metrics/fid.ts";
import { frd, frdFeatures } from "../metrics/frd_full.ts";
import { frdSubset, radiomicFeatures, stack, standardise } from "../metrics/frd.ts";
import { earthMover, histogram, valuesInside } from "../metrics/histogram_distance.ts";
import type { Features } from "../metrics/linear_algebra.ts";
import { gaussianMmd } from "../metrics/mmd.ts";
import { mse } from "../metrics/mse.ts";
import { msSsim, msSsimBetas } from "../metrics/ms_ssim.ts";
import { meanSpectrum, spectralDistance } from "../metrics/power_spectrum.ts";
import { psnr } from "../metrics/psnr.ts";
import { ssim, SSIM_PADDING } from "../metrics/ssim.ts";
import { mean } from "../metrics/statistics.ts";
import { PhiloxStream } from "../random/philox.ts";
import { maskAdherence } from "./conditions.ts";
import { type Copying, copying, isCopied } from "./copying.ts";
import { type Evaluators, networkScores } from "./networks.ts";
import { type EvalSlice, type EvaluationInput, NO_PARTNERS } from "./slices.ts";
import { fromSummary, fromValue, METRICS, notComputed, type Score } from "./score.ts";

/** Each slice's own scores, for the picture table; null where it has none. */
export interface SliceScores {
  id: string;
  psnr: number | null;
  ssim: number | null;
  dice: number;
  /** The lungs seen in the generated slice. */
  seen: Float32Array;
  nodule: number | null;
}

export interface Curve {
  name: string;
  values: ArrayLike<number>;
}

export interface Evaluation {
  scores: Score[];
  slices: SliceScores[];
  warnings: string[];
  copies: { pixels: Copying | null; features: Copying | null };
  /** In-mask HU histograms over the window, and spectra, of real and generated slices. */
  histograms: Curve[];
  spectra: Curve[];
}

/** Values in [−1, 1] have this range. */
const RANGE = 2;
const HISTOGRAM_BINS = 75;
/** Root mean square difference in the lungs below which a slice is a copy: less than CT's noise. */
const COPY_HU = 10;

/**
 * @param onStage told the name of each part as it starts
 * @throws RangeError where slices are not of the size given or a side has none.
 */
export async function evaluate(
  input: EvaluationInput,
  evaluators: Evaluators,
  onStage: (name: string, done: number, total: number) => void = () => {},
): Promise<Evaluation> {
  check(input);
  const { generated, real, train, seed } = input;
  const warnings: string[] = [];
  const random = () => new PhiloxStream(seed, 6 * 2 ** 40);
  const scores: Score[] = [];

  onStage("image metrics", 0, generated.length);
  const pairs = pairScores(input);
  for (const { name } of METRICS) {
    const values = pairs.get(name);
    if (!values) continue;
    if (!input.partners) {
      scores.push(notComputed(name, NO_PARTNERS));
    } else scores.push(fromSummary(name, summariseSome(values, random()), pairs.notes.get(name)));
  }

  const free = freeScores(input, (done, total) => onStage("radiomic features", done, total));
  scores.push(...free.scores);

  onStage("networks", 0, generated.length);
  const networks = await networkScores(input, evaluators, random(), onStage);
  scores.push(...networks.scores);

  onStage("mask adherence", 0, generated.length);
  const adherence = generated.map((slice, i) => {
    onStage("mask adherence", i, generated.length);
    return maskAdherence(slice.ct, slice.lungMask, input);
  });
  const ceiling = real.map((slice) => maskAdherence(slice.ct, slice.lungMask, input).dice);
  scores.push({
    ...fromSummary("mask_dice", summarise(adherence.map(({ dice }) => dice), random())),
    reference: mean(ceiling),
    note: mean(ceiling) < 0.8
      ? "the segmenter fails on these real slices too: this says little"
      : undefined,
  });

  onStage("nearest training slices", 0, generated.length);
  const copies = copyScores(input, networks.features, free);
  scores.push(...copies.scores);

  const order = new Map<string, number>(METRICS.map(({ name }, i) => [name, i]));
  scores.sort((a, b) => order.get(a.name)! - order.get(b.name)!);
  const copied = copies.scores.find(({ name }) => name === "copied")?.value;
  if (copied) {
    warnings.push(
      `${
        Math.round(copied * generated.length)
      } of ${generated.length} generated slices are within ` +
        `${COPY_HU} HU of a training slice: copies, which must not be shared`,
    );
  }
  if (train.length === 0) {
    warnings.push("no training slices were given: copying was not looked for");
  }
  return {
    scores,
    warnings: [...warnings, ...networks.warnings],
    slices: generated.map((slice, i) => ({
      id: slice.id,
      psnr: input.partners ? pairs.get("psnr")![i] : null,
      ssim: input.partners ? pairs.get("ssim")![i] : null,
      dice: adherence[i].dice,
      seen: adherence[i].seen,
      nodule: networks.verdicts ? networks.verdicts[i] : null,
    })),
    copies: copies.found,
    ...free.curves,
  };
}

function check({ generated, real, train, height, width, partners }: EvaluationInput) {
  if (!generated.length || !real.length) {
    throw new RangeError(
      `Cannot score ${generated.length} generated and ${real.length} real slices`,
    );
  }
  if (partners && generated.length !== partners.length) {
    throw new RangeError(
      `Pairs of ${generated.length} generated and ${partners.length} real slices`,
    );
  }
  for (const { id, ct, lungMask } of [...generated, ...real, ...train, ...partners ?? []]) {
    if (ct.length !== height * width || lungMask.length !== ct.length) {
      throw new RangeError(`Slice "${id}" is not of ${height}×${width} pixels`);
    }
  }
}

/** Slices without a lung have no in-mask value: null, left out of the mean. */
type Values = (number | null)[];

class PairValues extends Map<string, Values> {
  notes = new Map<string, string>();
}

function pairScores(input: EvaluationInput): PairValues {
  const { height, width, generated, partners } = input;
  const names = METRICS.slice(0, 8).map(({ name }) => name);
  const values = new PairValues(names.map((name): [string, Values] => [name, []]));
  if (!partners) return values;
  const large = Math.min(height, width) > SSIM_PADDING;
  const croppable = Math.min(height, width) > 2 * SSIM_PADDING;
  const betas = msSsimBetas(height, width);
  if (betas.length < 5) values.notes.set("ms_ssim", `${betas.length} scales: the image is small`);
  const size = { height, width, dataRange: RANGE };
  generated.forEach((slice, i) => {
    const other = partners[i], mask = other.lungMask;
    const inside = mask.some((value) => value > 0.5);
    const a = slice.ct.map((value, k) => value * mask[k]);
    const b = other.ct.map((value, k) => value * mask[k]);
    const put = (name: string, value: number | null) => values.get(name)!.push(value);
    put("psnr", psnr(a, b, RANGE));
    put("mse", mse(a, b));
    put("ssim", large ? ssim(a, b, size) : null);
    put("ssim_cropped", croppable ? ssim(a, b, { ...size, border: "cropped" }) : null);
    put("ms_ssim", croppable ? msSsim(a, b, { ...size, betas }) : null);
    put("psnr_in_mask", inside ? psnr(slice.ct, other.ct, RANGE, mask) : null);
    put("mse_in_mask", inside ? mse(slice.ct, other.ct, mask) : null);
    put("ssim_in_mask", inside && large ? ssim(slice.ct, other.ct, { ...size, mask }) : null);
  });
  return values;
}

function summariseSome(values: Values, random: PhiloxStream): Summary | null {
  return summarise(values.filter((value) => value !== null), random);
}

interface FreeScores {
  scores: Score[];
  curves: Pick<Evaluation, "histograms" | "spectra">;
  /** Radiomic features of the slices that have any, with their places in the input. */
  radiomics: Record<"generated" | "real" | "train", { rows: Features; places: number[] }>;
}

function freeScores(
  input: EvaluationInput,
  onDone: (done: number, total: number) => void,
): FreeScores {
  const { height, width, window, generated, real, train } = input;
  const size = { height, width };
  const hu = (slices: EvalSlice[]) => slices.map(({ ct }) => unwindowHu(ct, window));
  const [generatedHu, realHu, trainHu] = [hu(generated), hu(real), hu(train)];
  const total = generated.length + real.length + train.length;
  let done = 0;
  const features = (slices: EvalSlice[], images: Float32Array[]) => {
    const rows: number[][] = [], places: number[] = [], full: number[][] = [];
    slices.forEach(({ lungMask }, i) => {
      const all = frdFeatures(images[i], lungMask, size);
      if (all) full.push(all);
      const row = radiomicFeatures(images[i], lungMask, size);
      if (row) {
        rows.push(row);
        places.push(i);
      }
      onDone(++done, total);
    });
    return { rows: stack(rows), places, full: stack(full) };
  };
  const radiomics = {
    generated: features(generated, generatedHu),
    real: features(real, realHu),
    train: features(train, trainHu),
  };
  const scores: Score[] = [
    fullFrd(radiomics.real.full, radiomics.generated.full, radiomics.train.full),
  ];
  const [g, r, t] = [radiomics.generated.rows, radiomics.real.rows, radiomics.train.rows];
  if (g.count < 2 || r.count < 2) {
    const why = `needs 2 slices with a lung on each side, got ${g.count} and ${r.count}`;
    scores.push(notComputed("frd_subset", why), notComputed("mmd", why));
  } else {
    const known = t.count >= 2;
    const note = r.count <= r.size
      ? `${r.count} real slices for ${r.size} features: biased upwards, compare like with like`
      : undefined;
    scores.push(fromValue("frd_subset", frdSubset(r, g), {
      reference: known ? frdSubset(r, t) : null,
      note,
    }));
    const distance = (other: Features) => {
      const scaled = standardise(r, other);
      return gaussianMmd(scaled.reference, scaled.other).squared;
    };
    scores.push(fromValue("mmd", distance(g), { reference: known ? distance(t) : null }));
  }

  const masks = (slices: EvalSlice[]) => slices.map(({ lungMask }) => lungMask);
  const inside = [
    valuesInside(generatedHu, masks(generated)),
    valuesInside(realHu, masks(real)),
    valuesInside(trainHu, masks(train)),
  ];
  if (inside[0].length && inside[1].length) {
    scores.push(fromValue("hu_distance", earthMover(inside[0], inside[1]), {
      reference: inside[2].length ? earthMover(inside[2], inside[1]) : null,
    }));
  } else scores.push(notComputed("hu_distance", "no slice has a lung"));

  const masked = (slices: EvalSlice[]) =>
    slices.map(({ ct, lungMask }) => ct.map((value, k) => value * lungMask[k]));
  const spectra = [generated, real].map((slices) => meanSpectrum(masked(slices), size));
  scores.push(fromValue("spectrum_distance", spectralDistance(spectra[0], spectra[1]), {
    reference: train.length
      ? spectralDistance(meanSpectrum(masked(train), size), spectra[1])
      : null,
  }));

  const low = window.level - window.width / 2, high = window.level + window.width / 2;
  return {
    scores,
    radiomics,
    curves: {
      histograms: [
        { name: "real", values: histogram(inside[1], low, high, HISTOGRAM_BINS) },
        { name: "generated", values: histogram(inside[0], low, high, HISTOGRAM_BINS) },
      ],
      spectra: [
        { name: "real", values: spectra[1] },
        { name: "generated", values: spectra[0] },
      ],
    },
  };
}

function fullFrd(real: Features, generated: Features, train: Features): Score {
  const between = (other: Features) => {
    try {
      return frd(real, other);
    } catch (error) {
      if (error instanceof RangeError) return null; // too few slices with a lung
      throw error;
    }
  };
  const found = between(generated);
  if (!found) {
    const why = `needs 2 slices with a lung on each side, got ${generated.count} and ${real.count}`;
    return notComputed("frd", why);
  }
  const { value, columns } = found;
  const known = between(train)?.value ?? null;
  const reference = Number.isFinite(known) ? known : null;
  if (!Number.isFinite(value)) {
    return { ...notComputed("frd", "the sets are equal: ln 0"), reference };
  }
  return fromValue("frd", value, {
    reference,
    note: real.count <= columns
      ? `${real.count} real slices for ${columns} features: biased upwards, compare like with like`
      : undefined,
  });
}

/**
 * Rows of pixels inside the masks (0 outside), as one feature set; of large slices means of blocks, so
 * that a side has at most 128: finer detail tells no patients apart, and thousands of slices fit.
 */
function pixelRows(slices: EvalSlice[], { height, width }: Size): Features {
  const block = Math.ceil(Math.max(height, width) / 128);
  const columns = Math.ceil(width / block), size = Math.ceil(height / block) * columns;
  const data = new Float32Array(slices.length * size);
  slices.forEach(({ ct, lungMask }, i) => {
    for (let k = 0; k < ct.length; k++) {
      const at = Math.floor(k / width / block) * columns + Math.floor(k % width / block);
      data[i * size + at] += ct[k] * lungMask[k] / block ** 2;
    }
  });
  return { count: slices.length, size, data };
}

function copyScores(
  input: EvaluationInput,
  inception: { generated: Features; real: Features; train: Features | null } | null,
  { radiomics }: FreeScores,
): { scores: Score[]; found: Evaluation["copies"] } {
  const { generated, real, train, width, window } = input;
  const names = ["memorised_pixels", "memorised_features", "copied"];
  if (train.length === 0) {
    const why = "the training slices were not given";
    return {
      scores: names.map((name) => notComputed(name, why)),
      found: { pixels: null, features: null },
    };
  }
  const patients = train.map(({ patient }) => patient);
  // Slices of the training set cannot say how near unseen ones come.
  const trained = new Set(train.map(({ id }) => id));
  const unseen = real.filter(({ id }) => !trained.has(id));
  const pixels = copying(pixelRows(generated, input), pixelRows(train, input), patients, {
    rows: pixelRows(unseen, input),
    patients: unseen.map(({ patient }) => patient),
  });
  let features: Copying | null = null, space = "Inception features";
  if (inception?.train) {
    const held = real.flatMap(({ id }, i) => trained.has(id) ? [] : [i]);
    features = copying(inception.generated, inception.train, patients, {
      rows: takeRows(inception.real, held),
      patients: held.map((i) => real[i].patient),
    });
  } else if (radiomics.train.rows.count > 1 && radiomics.generated.rows.count > 0) {
    space = "radiomic features";
    const scaled = standardise(radiomics.train.rows, radiomics.generated.rows);
    const places = radiomics.train.places;
    const realPlaces = radiomics.real.places;
    const held = realPlaces.flatMap((i, row) => trained.has(real[i].id) ? [] : [row]);
    const found = copying(scaled.other, scaled.reference, places.map((i) => patients[i]), {
      rows: takeRows(standardise(radiomics.train.rows, radiomics.real.rows).other, held),
      patients: held.map((row) => real[realPlaces[row]].patient),
    });
    const pairs = found.pairs.map((pair) => ({
      ...pair,
      generated: radiomics.generated.places[pair.generated],
      train: places[pair.train],
    }));
    features = { ...found, pairs };
  }
  const why = new Set(patients).size < 2
    ? "all training slices are of one patient: look at the closest pairs"
    : "too few slices of different patients to say what is near";
  const score = (name: string, found: Copying | null, where: string): Score => {
    const rate = found?.memorisation;
    if (!rate) return notComputed(name, why);
    return fromValue(name, rate.rate, {
      reference: 0.05,
      note: `${where}; median ratio ${rate.median.generated.toFixed(2)}, of real slices ` +
        rate.median.real.toFixed(2),
    });
  };
  const limit = COPY_HU / (window.width / 2);
  const share = (slices: EvalSlice[]) =>
    slices.filter((slice) => isCopied(slice, train, width, limit)).length / slices.length;
  const reference = unseen.length ? share(unseen) : null;
  return {
    scores: [
      score(names[0], pixels, "pixels"),
      score(names[1], features, space),
      fromValue(names[2], share(generated), { reference }),
    ],
    found: { pixels, features },
  };
}
