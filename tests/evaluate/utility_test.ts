/** Does a segmenter gain from synthetic slices: figures, paired differences, and what is kept and refused. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LoadedSlice, openPhantomDataset, type SliceRecord } from "../../lib/data/dataset.ts";
import { LUNG_WINDOW } from "../../lib/data/window.ts";
import {
  estimate,
  FIGURES,
  operatingPoint,
  type ScoredSlice,
  scoreSlice,
  type Sums,
  sumsOf,
  type UtilitySlice,
  valueOf,
} from "../../lib/evaluate/utility.ts";
import {
  utilityPage,
  utilityRows,
  utilityTable,
  verdict,
} from "../../lib/evaluate/utility_report.ts";
import {
  choosePatients,
  type PoolSlice,
  poolSlices,
  runUtility,
  type TestSlice,
  type TrainingResult,
  trainings,
} from "../../lib/evaluate/utility_run.ts";
import { openModel } from "../../lib/diffusion/model_folder.ts";
import { chooseScheduler, type SamplingModel } from "../../lib/diffusion/sampling_model.ts";
import { reverseSteps } from "../../lib/diffusion/scheduler.ts";
import { checkSynthetic, synthesise } from "../../lib/evaluate/utility_synthetic.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { encodeNpy } from "../../lib/io/npy.ts";
import { RowCache } from "../../lib/io/row_cache.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const SIZE = { height: 24, width: 24 };
const plane = (of: (x: number, y: number) => number) =>
  Float32Array.from({ length: 576 }, (_, i) => of(i % 24, Math.floor(i / 24)));
const square = (cx: number, cy: number, reach: number) =>
  plane((x, y) => Math.max(Math.abs(x - cx), Math.abs(y - cy)) <= reach ? 1 : 0);
const LUNG = square(12, 12, 10);
const add = (...planes: Float32Array[]) =>
  planes[0].map((_, i) => planes.reduce((sum, p) => sum + p[i], 0));

function slice(patient: string, nodules: [Float32Array, number][]): UtilitySlice {
  const truth = nodules.length ? add(...nodules.map(([mask]) => mask)) : new Float32Array(576);
  return {
    ...{ ...SIZE, patient, lungMask: LUNG, truth },
    nodules: nodules.map(([mask, mm]) => ({ mask, mm })),
  };
}

Deno.test("utility: each nodule has its best candidate's score, other candidates are false, Dice at one half", () => {
  const at = square(8, 8, 1), other = square(16, 16, 1);
  const map = add(
    at.map((v) => v * 0.9),
    square(16, 8, 0).map((v) => v * 0.3),
    other.map((v) => v * 0.4),
  );
  const scored = scoreSlice(slice("a", [[at, 6], [other, 12]]), map);
  assert.deepEqual(scored.nodules, [{ mm: 6, score: 0.9 }, { mm: 12, score: 0.4 }]);
  assert.deepEqual(scored.extra, [0.3]);
  assert.equal(scored.dice, 0.6667); // 9 of 18 + 9 pixels
  const none = scoreSlice(slice("a", []), add(map, square(0, 0, 0)));
  assert.deepEqual([none.dice, none.extra.length], [null, 3], "the corner is outside the lungs");
  // One pixel beside its edge still counts, two do not.
  const off = (by: number) => scoreSlice(slice("a", [[at, 6]]), square(9 + by, 8, 0));
  assert.equal(off(1).nodules[0].score, 1);
  assert.deepEqual([off(2).nodules[0].score, off(2).extra], [0, [1]]);
});

const scored = (patient: string, extra: number[], nodules: [number, number][]): ScoredSlice => ({
  ...{ patient, extra },
  dice: nodules.length ? nodules[0][1] : null,
  nodules: nodules.map(([mm, score]) => ({ mm, score })),
});

Deno.test("utility: sensitivity is the highest with no more false positives than allowed; ties go together", () => {
  const slices = [
    scored("a", [0.9, 0.5], [[5, 0.95], [10, 0.5]]),
    scored("b", [0.5, 0.2], [[20, 0.45], [30, 0]]),
  ];
  // Of two slices: one false positive at 0.5 a slice, two at 1, all four at 2.
  const sensitivity = (rate: number, size: string | null = null) => {
    const figure = FIGURES.find((f) =>
      f.falsePositives === rate && (f.size?.join("–") ?? null) === size
    )!;
    return valueOf(sumsOf(figure, slices, ["a", "b"]));
  };
  assert.ok(operatingPoint(slices, 0.5) > 0.5);
  assert.equal(sensitivity(0.5), 0.25);
  assert.ok(operatingPoint(slices, 1) > 0.5, "two of the three above 0.2 have one score");
  assert.equal(sensitivity(1), 0.25);
  assert.equal(sensitivity(2), 0.75, "what no candidate touches is never found");
  assert.deepEqual(["4–8", "8–15", "15–30"].map((size) => sensitivity(2, size)), [1, 1, 0.5]);
  assert.equal(valueOf(sumsOf(FIGURES[0], slices, ["a", "b"])), (0.95 + 0.45) / 2);
});

const sums = (sum: number[], count: number[]): Sums => ({
  sum: Float64Array.from(sum),
  count: Float64Array.from(count),
});

Deno.test("utility: differences are of the same seed and patients, with an interval over both", () => {
  // Seeds and patients differ widely, the two trainings always by 0.1.
  const a = [[9, 1, 5], [8, 0, 4]].map((s) => sums(s, [10, 10, 10]));
  const b = [[10, 2, 6], [9, 1, 5]].map((s) => sums(s, [10, 10, 10]));
  const paired = estimate(b, a, 1);
  for (const v of [paired.value, paired.low!, paired.high!]) assert.ok(Math.abs(v - 0.1) < 1e-12);
  const alone = estimate(a, null, 1);
  assert.equal(alone.value.toFixed(3), "0.450");
  assert.ok(alone.low! < 0.2 && alone.high! > 0.7, "patients scatter");
  assert.deepEqual(estimate(a, null, 1), alone);
  // Patients without a nodule of the size weigh nothing; nothing at all is NaN.
  assert.equal(estimate([sums([1, 0], [2, 0])], null, 1).value, 0.5);
  assert.ok(Number.isNaN(estimate([sums([0, 0], [0, 0])], null, 1).value));
  assert.deepEqual(estimate([sums([1], [2])], null, 1), { value: 0.5 });
});

const pool = (patient: string, label: 0 | 1) => ({ patient, label });

Deno.test("utility: patients of a smaller share are among those of a larger, of both classes, by seed", () => {
  const slices = Array.from({ length: 40 }, (_, i) => pool(`P${i >> 1}`, i % 2 as 0 | 1));
  const [few, some, all] = [10, 25, 100].map((percent) => choosePatients(slices, percent, 3));
  assert.deepEqual([few.length, some.length, all.length], [2, 5, 20]);
  assert.deepEqual(few, some.slice(0, 2));
  assert.deepEqual(some, all.slice(0, 5));
  assert.deepEqual(choosePatients([...slices].reverse(), 10, 3), few, "not the order of files");
  assert.notDeepEqual(choosePatients(slices, 25, 4), some);
  // One class a patient: taken until both are there.
  const split = Array.from({ length: 10 }, (_, i) => pool(`P${i}`, i < 8 ? 0 : 1));
  const labels = choosePatients(split, 10, 0).map((p) => Number(p.slice(1)) < 8 ? 0 : 1);
  assert.deepEqual([...new Set(labels)].sort(), [0, 1]);
  assert.throws(() => choosePatients(split.slice(0, 8), 10, 0), /8 of 8 patients, all without/);
  const plan = trainings([10, 100], [0, 1]);
  assert.equal(plan.length, 10);
  assert.equal(plan.filter(({ arm }) => arm === "synthetic").length, 2);
});

/** Bright squares in noise: what a segmenter learns within seconds. */
function slices(count: number, seed: number, name: string): (PoolSlice & TestSlice)[] {
  const random = new PhiloxStream(seed, 0);
  return Array.from({ length: count }, (_, i) => {
    const has = i % 2 === 1, spot = square(5 + random.int(14), 5 + random.int(14), 1);
    const ct = plane((x, y) =>
      -0.6 + 0.1 * random.range(-1, 1) + (has && spot[y * 24 + x] ? 1 : 0)
    );
    const noduleMask = has ? spot : new Float32Array(576);
    const patient = `${name}${i >> 2}`;
    return {
      ...slice(patient, has ? [[spot, 10]] : []),
      ...{ id: `${patient}_slice_${i}`, ct, label: has ? 1 as const : 0 as const, noduleMask },
    };
  });
}

Deno.test("utility: trainings are kept and found, in shards too; other slices are trained on anew", async () => {
  const gpu = await openGpu();
  const folder = await Deno.makeTempDir();
  const real = slices(16, 1, "R"), synthetic = slices(8, 2, "S"), test = slices(8, 3, "T");
  const options = { ...SIZE, steps: 2, percents: [50], seeds: [0], folder, show: () => {} };
  const run = (more = {}, made = synthetic) =>
    runUtility(gpu, real, made, test, { ...options, ...more });
  const first = await run({ shard: { index: 1, count: 3 } });
  assert.deepEqual(
    first.results.map(({ arm, patients, real, synthetic }) => [arm, patients, real, synthetic]),
    [
      ["real", 2, 8, 0],
    ],
  );
  const all = await run();
  assert.equal(all.made, 2, "one was there");
  assert.deepEqual(
    all.results.map(({ arm, real, synthetic }) => [arm, real, synthetic]),
    [["synthetic", 0, 8], ["real", 8, 0], ["real + synthetic", 8, 8]],
  );
  assert.deepEqual(all.results[1], first.results[0]);
  const again = await run();
  assert.deepEqual([again.made, again.results], [0, all.results]);
  const other = await run(
    {},
    synthetic.map((s, i) => i ? s : { ...s, ct: s.ct.map((v) => v / 2) }),
  );
  assert.equal(other.made, 2, "not the real ones");
  assert.equal((await run({ steps: 3 })).made, 3);
  const file = [...Deno.readDirSync(folder)].map(({ name }) => name).find((n) =>
    n.startsWith("real-")
  )!;
  await Deno.writeTextFile(join(folder, file), "{}");
  await assert.rejects(run({ steps: 3 }).then(() => run()), new RegExp(`${file}.*remove it`));
  await Deno.remove(folder, { recursive: true });
});

function result(
  arm: TrainingResult["arm"],
  percent: number,
  seed: number,
  score: number,
): TrainingResult {
  const test = ["a", "b", "c"].flatMap((patient) => [
    scored(patient, [0.5], []),
    scored(patient, [], [[5, score + seed / 100], [10, 0.9]]),
  ]);
  return { arm, percent, seed, patients: 1, real: 2, synthetic: 2, fit: 0.8, slices: test };
}

Deno.test("utility: the report says better, worse and no difference as they are, and the page is closed", () => {
  const of = (both: number) =>
    [0, 1].flatMap((seed) => [
      result("real", 10, seed, 0.4),
      result("real + synthetic", 10, seed, both),
      result("synthetic", 0, seed, 0.4),
    ]);
  const at = (both: number, id: string) =>
    verdict(utilityRows(of(both), [10], 0).find(({ figure }) => figure.id === id)!);
  assert.equal(at(0.7, "dice"), "better with synthetic slices");
  assert.equal(at(0.1, "dice"), "worse with synthetic slices");
  assert.equal(at(0.4, "dice"), "no difference shown");
  assert.equal(at(0.7, "sensitivity_1_15_30mm"), "nothing to compare");
  // One that has not learned its own slices: then nothing is said of what the slices are worth.
  const unlearned = of(0.1).map((r, i) => i === 1 ? { ...r, fit: 0.2 } : r);
  const dull = utilityRows(unlearned, [10], 0);
  assert.equal(verdict(dull[0]), "not trained long enough to tell");
  assert.ok(!utilityPage([], [], dull, [10]).includes('class="worse"'));
  const rows = utilityRows(of(0.7), [10], 0);
  assert.match(
    utilityTable(rows),
    /10 % +Dice +3 +0\.405 +0\.705 +0\.405 +\+0\.300 \[\+0\.300, \+0\.300\] +better/,
  );
  assert.throws(() => utilityRows(of(0.7).slice(1), [10], 0), /no result of real, 10 %, seed 0/);
  const page = utilityPage([["Data", "<b>x"]], ["a <note>"], rows, [10]);
  assert.match(page, /Content-Security-Policy" content="default-src 'none'/);
  assert.ok(!/<script|<b>x|<note>/.test(page));
  assert.match(page, /&lt;b&gt;x/);
});

Deno.test("utility: synthetic slices of a test patient, and masks that are the whole lung, are refused", async () => {
  const folder = await Deno.makeTempDir();
  const record = (id: string, patient: string, noduleMask = new Uint8Array(576)): SliceRecord => ({
    ...{ id, patient, label: 1 },
    load: () =>
      Promise.resolve<LoadedSlice>({
        ...{ ...SIZE, ct: new Float32Array(576), noduleMask },
        lungMask: Uint8Array.from(LUNG),
      }),
  });
  const list = (source: string) =>
    Deno.writeTextFile(
      join(folder, "images.csv"),
      `slice,class,lung_mask_of\nGEN1-0_slice_0,1,${source}\n`,
    );
  const made = [record("GEN1-0_slice_0", "GEN1-0")], test = new Set(["P_7"]);
  await list("P_77_slice_2");
  assert.equal(await checkSynthetic(folder, made, test), true);
  await list("P_7_2_slice_2");
  await assert.rejects(
    checkSynthetic(folder, made, test),
    /GEN1-0_slice_0 has the lungs of P_7, who is in/,
  );
  await Deno.remove(join(folder, "images.csv"));
  assert.equal(await checkSynthetic(folder, made, test), false);
  const own = [record("P_7_slice_1", "P_7")];
  await assert.rejects(checkSynthetic(folder, own, test), /P_7_slice_1 is of patient P_7/);
  const whole = record("GEN1-0_slice_0", "GEN1-0", Uint8Array.from(LUNG));
  const load = (r: SliceRecord) =>
    poolSlices([r], SIZE, LUNG_WINDOW, { condition: "nodule-mask" }, () => {});
  await assert.rejects(load(whole), /nodule's mask is the whole lung.*nodule-mask/);
  assert.equal((await load(made[0]))[0].label, 0, "what has no pixel teaches no nodule");
  await Deno.remove(folder, { recursive: true });
});

/** `./run evaluate` as users start it. */
async function evaluate(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [join(ROOT, "run"), "evaluate", ...args],
    cwd: ROOT,
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

/** A folder of slices with a bright square in noise, four a patient, every other one with it. */
async function writeSlices(folder: string, prefix: string, patients: number, seed: number) {
  await Deno.mkdir(folder);
  for (const [i, { ct, lungMask, noduleMask }] of slices(4 * patients, seed, prefix).entries()) {
    const name = `${prefix}${i >> 2}`;
    const write = (kind: string, data: Float32Array) =>
      Deno.writeFile(join(folder, `${name}${kind}_${i}.npy`), encodeNpy([24, 24], data));
    await write("_slice", ct.map((v) => -600 + 750 * v));
    await write("_lung_mask", lungMask);
    await write("_nodule_mask", noduleMask);
  }
}

Deno.test("./run evaluate --utility: folders; a table, JSON and page; a second call trains nothing", () =>
  withFolder(async (root) => {
    const [real, made, out] = ["real", "made", "out"].map((name) => join(root, name));
    await writeSlices(real, "R", 4, 1);
    await writeSlices(made, "S", 2, 2);
    const folders = ["--utility", "--real", real, "--synthetic", made, "--out", out];
    const small = ["--seeds", "2", "--percents", "50", "--detector-steps", "2"];
    const all = await evaluate(...folders, ...small);
    assert.deepEqual(
      [all.code, /no test and no validation split/.test(all.err)],
      [2, true],
      all.err,
    );
    await Deno.writeTextFile(join(real, "train_patients.txt"), "R0\nR1\nR2\n");
    await Deno.writeTextFile(join(real, "test_patients.txt"), "R3\n");
    const shard = await evaluate(...folders, ...small, "--shard", "0/2");
    assert.match(shard.out, /shard 0\/2: 3 segmenters trained, 0 were there/, shard.err);
    const first = await evaluate(...folders, ...small);
    assert.equal(first.code, 0, first.err);
    assert.match(first.out, /1 test patient: intervals say how far seeds scatter/);
    assert.match(first.out, /^50 % +Dice +2 .*not trained long enough to tell$/m);
    assert.match(first.out, /6 of 6 segmenters have not learned .*--detector-steps 2 is too few/s);
    const read = async () => {
      const { about, trainings } = JSON.parse(await Deno.readTextFile(join(out, "utility.json")));
      return { about, trainings };
    };
    const { about, trainings } = await read();
    assert.equal(trainings.length, 6);
    assert.deepEqual(trainings.map((t: { patients: number }) => t.patients), [0, 2, 2, 0, 2, 2]);
    assert.match(about["Synthetic slices"], /: 8, 4 with a nodule$/); // of 9 pixels each
    assert.match(about["Test patients and the generator"], /not known/);
    const times = () =>
      [...Deno.readDirSync(join(out, "utility"))].map(({ name }) =>
        Deno.statSync(join(out, "utility", name)).mtime!.getTime()
      );
    const before = times();
    const again = await evaluate(...folders, ...small);
    assert.equal(again.out, first.out);
    assert.deepEqual(times(), before);
    const idle = await evaluate(...folders, "--classifier-steps", "3");
    assert.deepEqual([idle.code, /--classifier-steps: changes nothing/.test(idle.err)], [2, true]);
    const alone = await evaluate("--real", real, "--generated", made, "--percents", "10");
    assert.deepEqual([alone.code, /--percents: goes with --utility/.test(alone.err)], [2, true]);
  }));

Deno.test("synthetic slices of a run's model: made in shards, found again, each with its nodule's place", async () => {
  const gpu = await openGpu();
  const opened = await openModel({ model: join(ROOT, "tests/fixtures/diffusers_tiny") });
  const preparation = { ...opened.preparation, condition: "nodule-mask" as const };
  const model: SamplingModel = { ...opened, preparation };
  const folder = await Deno.makeTempDir();
  const dataset = openPhantomDataset({ seed: 1, count: 8, size: 64 });
  const steps = reverseSteps(chooseScheduler(model, "ddim"), 2);
  const make = (shard?: { index: number; count: number }, seed = 0) =>
    synthesise(gpu, {
      ...{ model, dataset, steps, seed, shard, count: 2, cfgScale: 1, batch: 2 },
      ...{ kept: new RowCache(folder), show: () => {} },
    });
  const part = await make({ index: 0, count: 2 });
  assert.deepEqual([part.slices.length, part.missing, part.made], [2, 2, 2]);
  const all = await make();
  assert.deepEqual([all.slices.length, all.missing, all.made], [4, 0, 2]);
  const again = await make();
  assert.equal(again.made, 0);
  assert.deepEqual(again.slices, all.slices);
  assert.deepEqual(all.slices.map(({ label }) => label).sort(), [0, 0, 1, 1]);
  for (const { label, noduleMask, lungMask } of all.slices) {
    assert.equal(noduleMask.some((v) => v > 0), label === 1);
    assert.ok(lungMask.includes(1));
  }
  assert.equal((await make(undefined, 5)).made, 4, "another seed's are others");
  await Deno.remove(folder, { recursive: true });
});
