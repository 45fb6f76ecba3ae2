/** The report: what perfect, noisy and copied slices score, and how it is written down. */

import assert from "node:assert/strict";
import { openPhantomDataset, prepareSlice, type SliceRecord } from "../../lib/data/dataset.ts";
import { LUNG_WINDOW } from "../../lib/data/window.ts";
import { evaluate } from "../../lib/evaluate/evaluation.ts";
import type { EvalSlice, EvaluationInput } from "../../lib/evaluate/slices.ts";
import { chooseTestSet } from "../../lib/evaluate/inputs.ts";
import { evaluationPage } from "../../lib/evaluate/page.ts";
import { sliceRows } from "../../lib/evaluate/pictures.ts";
import { csv, json, type Report, terminalTable } from "../../lib/evaluate/report.ts";
import { METRICS } from "../../lib/evaluate/score.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

const SIZE = { height: 64, width: 64 };
const NO_NETWORKS = { inception: null, lpips: null, classifier: null, classifierHeldOut: [] };

let made: Promise<{ real: EvalSlice[]; train: EvalSlice[] }> | undefined;
const slices = () => made ??= makeSlices();

async function makeSlices() {
  const { train, val } = openPhantomDataset({ seed: 5, count: 48, size: 128 });
  const prepare = (records: SliceRecord[]) =>
    Promise.all(
      records.map((record) => prepareSlice(record, SIZE, LUNG_WINDOW, { antialias: true })),
    );
  return { real: await prepare(val), train: await prepare(train) };
}

function noisy(from: EvalSlice[], sigma: number): EvalSlice[] {
  const random = new PhiloxStream(3);
  return from.map((slice) => ({
    ...slice,
    ct: slice.ct.map((v) => Math.min(1, Math.max(-1, v + sigma * random.normal()))),
  }));
}

function input(generated: EvalSlice[], real: EvalSlice[], train: EvalSlice[]): EvaluationInput {
  const spacing: [number, number] = [5.5, 5.5];
  return {
    ...SIZE,
    window: LUNG_WINDOW,
    pixelSpacing: spacing,
    generated,
    real,
    train,
    partners: real,
    seed: 1,
  };
}

const valuesOf = async (given: EvaluationInput) => {
  const evaluation = await evaluate(given, NO_NETWORKS);
  const of = (name: string) => evaluation.scores.find((score) => score.name === name)!;
  return { evaluation, of, value: (name: string) => of(name).value! };
};

Deno.test("scores: perfect slices, then worse with more noise, in every metric", async () => {
  const { real, train } = await slices();
  const perfect = await valuesOf(input(real.map((slice) => ({ ...slice })), real, train));
  const [little, much] = [
    await valuesOf(input(noisy(real, 0.1), real, train)),
    await valuesOf(input(noisy(real, 0.6), real, train)),
  ];
  assert.equal(perfect.value("psnr"), Infinity);
  assert.equal(perfect.value("ssim"), 1);
  assert.equal(perfect.value("hu_distance"), 0);
  assert.ok(Math.abs(perfect.value("frd_subset")) < 1e-6);
  assert.equal(perfect.value("mask_dice"), perfect.of("mask_dice").reference);
  for (const name of ["psnr", "ssim", "ssim_cropped", "ms_ssim", "psnr_in_mask", "ssim_in_mask"]) {
    assert.ok(perfect.value(name) > little.value(name), name);
    assert.ok(little.value(name) > much.value(name), name);
  }
  for (const name of ["mse", "mse_in_mask", "frd_subset", "hu_distance"]) {
    assert.ok(perfect.value(name) < little.value(name), name);
    assert.ok(little.value(name) < much.value(name), name);
  }
  // MMD stays near its largest value once the sets are apart.
  assert.ok(perfect.value("mmd") < little.value("mmd"));
  assert.ok(perfect.value("spectrum_distance") < little.value("spectrum_distance"));
  assert.ok(much.value("mask_dice") < perfect.value("mask_dice"));
  const { low, high, value } = little.of("psnr");
  assert.ok(low! < value! && value! < high!);
  // Every metric has a row, computed or not.
  assert.deepEqual(perfect.evaluation.scores.map(({ name }) => name), METRICS.map((m) => m.name));
  assert.match(perfect.of("fid").note!, /\.\/run weights/);
});

Deno.test("scores: copies of training slices are found out, others are not", async () => {
  const { real, train } = await slices();
  const copies = noisy(train.slice(0, real.length), 0.01);
  const found = await valuesOf(input(copies, real, train));
  assert.equal(found.value("memorised_pixels"), 1);
  const { pairs } = found.evaluation.copies.pixels!;
  for (const { generated, train: nearest } of pairs) assert.equal(nearest, generated);
  assert.ok(pairs.every(({ ratio }) => ratio! < 0.2));
  assert.equal(found.value("copied"), 1);
  assert.equal(found.of("copied").reference, 0);
  assert.match(found.evaluation.warnings.join(), /6 of 6 generated slices are within 10 HU/);
  const mirror = copies.map((slice) => ({
    ...slice,
    ct: slice.ct.map((_, i) => slice.ct[i - i % 64 + 63 - i % 64]),
    lungMask: slice.lungMask.map((_, i) => slice.lungMask[i - i % 64 + 63 - i % 64]),
  }));
  assert.equal((await valuesOf(input(mirror, real, train))).value("copied"), 1);
  // Of a single patient nothing else can be said, but this can.
  const alone = train.map((slice) => ({ ...slice, patient: "one" }));
  const single = await valuesOf(input(copies, real, alone));
  assert.equal(single.value("memorised_pixels"), null);
  assert.match(single.of("memorised_pixels").note!, /of one patient/);
  assert.equal(single.value("copied"), 1);
  const honest = await valuesOf(input(noisy(real, 0.3), real, train));
  assert.ok(honest.value("memorised_pixels") < 0.5);
  assert.equal(honest.value("copied"), 0);
  // Flat grey lungs are nearer to every slice than slices are to each other, and copy none.
  const grey = real.map((slice) => ({ ...slice, ct: slice.ct.map(() => -0.3) }));
  assert.ok((await valuesOf(input(grey, real, train))).value("memorised_pixels") < 0.5);

  const unknown = await valuesOf(input(copies, real, []));
  assert.equal(unknown.value("memorised_pixels"), null);
  assert.match(unknown.evaluation.warnings.join(), /no training slices/);
});

Deno.test("scores: large slices are compared in blocks, which finds the same copies", async () => {
  const { real, train } = await slices();
  const large = (slice: EvalSlice): EvalSlice => {
    const twice = (plane: Float32Array) =>
      Float32Array.from(
        { length: 192 * 192 },
        (_, i) => plane[Math.floor(i / 192 / 3) * 64 + Math.floor(i % 192 / 3)],
      );
    return { ...slice, ct: twice(slice.ct), lungMask: twice(slice.lungMask) };
  };
  const [few, known] = [real.slice(0, 2).map(large), train.slice(0, 24).map(large)];
  const given = { ...input(noisy(known.slice(3, 5), 0.02), few, known), height: 192, width: 192 };
  const { evaluation } = await valuesOf(given);
  assert.deepEqual(evaluation.copies.pixels!.pairs.map(({ train }) => train).sort(), [3, 4]);
});

Deno.test("scores: sides that do not fit are refused; unpaired sets lack only paired scores", async () => {
  const { real, train } = await slices();
  const few = real.slice(0, 2);
  await assert.rejects(evaluate(input([], real, train), NO_NETWORKS), /0 generated and/);
  await assert.rejects(evaluate(input(few, real, train), NO_NETWORKS), /Pairs of 2 generated/);
  const small = [{ ...few[0], ct: new Float32Array(9) }];
  await assert.rejects(evaluate(input(small, [few[0]], []), NO_NETWORKS), /is not of 64×64/);
  const free = await valuesOf({ ...input(few, real, train), partners: null });
  assert.equal(free.value("psnr"), null);
  assert.ok(free.value("hu_distance") > 0);
});

Deno.test("the report as table, CSV, JSON and a page that runs nothing", async () => {
  const { real, train } = await slices();
  const given = input(real.map((s) => ({ ...s, id: `<script>"${s.id}` })), real, train);
  const evaluation = await evaluate(given, NO_NETWORKS);
  const report: Report = {
    about: [["Run", "a<b"]],
    epoch: 7,
    warnings: ["beware & compare"],
    results: [1, 2].map((cfgScale) => ({
      name: `guidance ${cfgScale}`,
      cfgScale,
      input: given,
      evaluation,
    })),
  };
  const table = terminalTable(report.results[0]);
  assert.match(table, /PSNR, both times the mask ↑ +∞/);
  assert.match(table, /FID ↓ +not computed/);

  const [head, row, , last] = csv(report).split("\n").map((line) => line.split(","));
  assert.deepEqual(last, [""]);
  assert.equal(row.length, head.length);
  const field = (name: string) => row[head.indexOf(name)];
  assert.equal(field("epoch"), "7");
  assert.equal(field("psnr_mean"), "Infinity");
  assert.equal(field("fid"), ""); // never 0
  assert.equal(field("lpips_mean"), "");
  assert.equal(field("cfg_scale"), "1");

  const parsed = JSON.parse(json(report));
  assert.equal(parsed.results[0].scores[0].value, "Infinity");
  assert.equal(parsed.results[1].slices.length, real.length);
  assert.equal(parsed.results[0].nearest.pixels.length, real.length);

  // The picture of slices is as wide as its longest line or its row, however many there are.
  const widths = [1, 6].map((count) => sliceRows(report.results[0], Array(count).fill(0)).width);
  assert.equal(widths[1], widths[0]);
  assert.ok(widths[0] > 4 * 2 * SIZE.width && widths[0] < 2 * 4 * 3 * SIZE.width, `${widths}`);

  const page = evaluationPage(report);
  assert.ok(!page.includes("<script"), "ids are escaped");
  assert.match(page, /default-src 'none'/);
  assert.match(page, /beware &amp; compare/);
  assert.equal(page.match(/<img src="data:image\/png;base64,/g)!.length, 6);
  assert.equal(page.match(/<svg/g)!.length >= 4, true);
});

Deno.test("the test set hangs on the data and the seed alone", () => {
  const { train, val } = openPhantomDataset({ seed: 5, count: 64 });
  const ids = (records: SliceRecord[]) => records.map(({ id }) => id);
  const choose = (seed: number, records = val, count = 3) =>
    chooseTestSet({ train, val: records, test: [] }, count, seed);
  const chosen = choose(1);
  assert.equal(chosen.split, "val");
  assert.match(chosen.notes[0], /no test split/);
  assert.deepEqual(chosen.records.map(({ label }) => label), [1, 1, 1, 0, 0, 0]);
  assert.deepEqual(ids(choose(1, val.toReversed()).records), ids(chosen.records));
  assert.notDeepEqual(ids(choose(2).records), ids(chosen.records));
  assert.equal(choose(1, val, 0).records.length, val.length);
  assert.match(choose(1, val, 99).notes.join("\n"), /99 slices with a nodule were asked for/);
  assert.match(chooseTestSet({ train, val: [], test: [] }, 1, 1).notes[0], /trained on/);
  assert.throws(() => chooseTestSet({ train: [], val: [], test: [] }, 1, 1), /no slice/);
});
