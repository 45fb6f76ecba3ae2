/** The scores that need a network: FID and its kin, LPIPS, the nodule classifier. */

import { summarise } from "../metrics/bootstrap.ts";
import { type InceptionExtractor, type LpipsExtractor, sliceInput } from "../metrics/extract.ts";
import { FID_FEW, fidInfinity, frechetDistance } from "../metrics/fid.ts";
import { inceptionScore } from "../metrics/inception_score.ts";
import { kid } from "../metrics/kid.ts";
import type { Features } from "../metrics/linear_algebra.ts";
import { auc } from "../metrics/overlap.ts";
import { WEIGHTS_COMMAND } from "../metrics/weights.ts";
import type { PhiloxStream } from "../random/philox.ts";
import type { NoduleClassifier } from "./classifier.ts";
import { type EvalSlice, type EvaluationInput, NO_PARTNERS } from "./slices.ts";
import { fromSummary, fromValue, notComputed, type Score } from "./score.ts";

/** Networks ready to run; null where there is none, with the reason. */
export interface Evaluators {
  inception: InceptionExtractor | null;
  lpips: LpipsExtractor | null;
  classifier: NoduleClassifier | null;
  /** Real slices the classifier was not trained on, for its own AUC. */
  classifierHeldOut: readonly EvalSlice[];
  /** Why there is no classifier. */
  noClassifier?: string;
}

export interface NetworkScores {
  scores: Score[];
  warnings: string[];
  /** Inception's. */
  features: { generated: Features; real: Features; train: Features | null } | null;
  /** The classifier's score of each generated slice. */
  verdicts: Float32Array | null;
}

type OnStage = (name: string, done: number, total: number) => void;

export async function networkScores(
  input: EvaluationInput,
  evaluators: Evaluators,
  random: PhiloxStream,
  onStage: OnStage,
): Promise<NetworkScores> {
  const inception = await inceptionScores(input, evaluators.inception, random, onStage);
  const nodules = await noduleScores(input, evaluators, onStage);
  return {
    scores: [
      ...inception.scores,
      ...await lpipsScores(input, evaluators.lpips, random, onStage),
      ...nodules.scores,
    ],
    warnings: inception.warnings,
    features: inception.features,
    verdicts: nodules.verdicts,
  };
}

const MISSING = `its weights are missing: ${WEIGHTS_COMMAND}`;

async function inceptionScores(
  { generated, real, train, height, width }: EvaluationInput,
  extractor: InceptionExtractor | null,
  random: PhiloxStream,
  onStage: OnStage,
): Promise<Pick<NetworkScores, "scores" | "warnings" | "features">> {
  const names = ["fid", "fid_infinity", "kid", "inception_score"];
  if (!extractor) {
    const scores = names.map((name) => notComputed(name, MISSING));
    return { scores, warnings: [], features: null };
  }
  const run = (what: string, slices: EvalSlice[]) =>
    extractor.run(
      slices.map((slice) => sliceInput(slice, { height, width })),
      (done) => onStage(`Inception features, ${what}`, done, slices.length),
    );
  const g = await run("generated", generated), r = await run("real", real);
  const t = train.length ? await run("training", train) : null;
  const warnings: string[] = [], scores: Score[] = [];
  const few = Math.min(generated.length, real.length);
  if (few < 2) {
    const why = "needs 2 slices on each side";
    scores.push(...names.slice(0, 3).map((name) => notComputed(name, why)));
  } else {
    const known = t !== null && t.features.count > 1;
    const note = few < FID_FEW
      ? `biased: ${few} slices, ${FID_FEW} or more are usual; compare only equal numbers`
      : undefined;
    if (note) warnings.push(`FID is ${note}`);
    scores.push(fromValue("fid", frechetDistance(g.features, r.features), {
      note,
      reference: known ? frechetDistance(t.features, r.features) : null,
    }));
    const limit = fidInfinity(g.features, r.features, random);
    scores.push(
      limit
        ? fromValue("fid_infinity", limit.value, { note: "extrapolated to 1/N = 0" })
        : notComputed("fid_infinity", "needs 20 slices on each side"),
    );
    const distance = kid(g.features, r.features, random);
    scores.push(fromValue("kid", 1000 * distance.mean, {
      deviation: 1000 * distance.deviation,
      note: `${distance.subsets} subsets of ${distance.subsetSize}`,
      reference: known ? 1000 * kid(t.features, r.features, random).mean : null,
    }));
  }
  if (generated.length < 10) {
    scores.push(notComputed("inception_score", "needs 10 slices"));
  } else {
    const score = inceptionScore(g.logits);
    scores.push(fromValue("inception_score", score.mean, {
      deviation: score.deviation,
      reference: real.length >= 10 ? inceptionScore(r.logits).mean : null,
      note: "of classes of photographs: says little about CT",
    }));
  }
  return {
    scores,
    warnings,
    features: { generated: g.features, real: r.features, train: t?.features ?? null },
  };
}

async function lpipsScores(
  { generated, partners }: EvaluationInput,
  extractor: LpipsExtractor | null,
  random: PhiloxStream,
  onStage: OnStage,
): Promise<Score[]> {
  const names = ["lpips", "lpips_01"];
  if (!extractor || !partners) {
    const why = extractor ? NO_PARTNERS : MISSING;
    return names.map((name) => notComputed(name, why));
  }
  const values: [number[], number[]] = [[], []];
  for (const [i, slice] of generated.entries()) {
    onStage("LPIPS", i, generated.length);
    const { ct, lungMask: mask } = partners[i];
    const a = slice.ct.map((value, k) => value * mask[k]);
    const b = ct.map((value, k) => value * mask[k]);
    const half = (image: Float32Array) => image.map((value) => (value + 1) / 2);
    values[0].push(await extractor.distance(a, b));
    values[1].push(await extractor.distance(half(a), half(b)));
  }
  return names.map((name, k) => fromSummary(name, summarise(values[k], random)));
}

async function noduleScores(
  { generated }: EvaluationInput,
  { classifier, classifierHeldOut, noClassifier }: Evaluators,
  onStage: OnStage,
): Promise<Pick<NetworkScores, "scores" | "verdicts">> {
  const names = ["nodule_auc", "nodule_agreement"];
  if (!classifier) {
    const why = noClassifier ?? "no classifier was trained";
    return { scores: names.map((name) => notComputed(name, why)), verdicts: null };
  }
  onStage("nodule verdicts", 0, generated.length);
  const verdicts = await classifier.scores(generated);
  const asked = generated.map(({ label }) => label);
  const own = await classifier.scores(classifierHeldOut);
  const truth = classifierHeldOut.map(({ label }) => label);
  const ceiling = auc(own, truth);
  const agree = (scores: ArrayLike<number>, labels: number[]) =>
    labels.filter((label, i) => (scores[i] > 0.5) === (label === 1)).length / labels.length;
  const value = auc(verdicts, asked);
  const weak = ceiling === null
    ? "no real slices were held out to check the classifier on"
    : ceiling < 0.7
    ? `the classifier is weak on real slices (AUC ${ceiling.toFixed(2)}): this says little`
    : undefined;
  return {
    verdicts,
    scores: [
      value === null
        ? notComputed(names[0], "only one class was asked for")
        : fromValue(names[0], value, { reference: ceiling, note: weak }),
      fromValue(names[1], agree(verdicts, asked), {
        reference: truth.length ? agree(own, truth) : null,
        note: weak,
      }),
    ],
  };
}
