/** The reader study: blind, balanced, seeded; and what its answers come to. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadedSlice, SliceRecord } from "../../lib/data/dataset.ts";
import { LUNG_WINDOW } from "../../lib/data/window.ts";
import { readerPage } from "../../lib/evaluate/reader_page.ts";
import {
  chooseItems,
  type Kind,
  makeStudy,
  parseAnswers,
  parseKey,
  scoreStudy,
  type StudyKey,
} from "../../lib/evaluate/reader_study.ts";
import { decodePng } from "../../lib/io/png.ts";
import { fleissKappa, wilson } from "../../lib/metrics/agreement.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function records(prefix: string, count: number, positives: number, hu = -600): SliceRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${prefix}${i}_slice_0`,
    patient: `${prefix}${i}`,
    label: i < positives ? 1 : 0,
    load: () =>
      Promise.resolve<LoadedSlice>({
        ct: Float32Array.from({ length: 64 }, (_, k) => hu + k),
        ...{ height: 8, width: 8 },
        lungMask: new Uint8Array(64).fill(1),
        noduleMask: new Uint8Array(64),
      }),
  }));
}

Deno.test("Fleiss' κ and Wilson's interval are statsmodels' values; answers may be missing", () => {
  // Fleiss 1971's example as Wikipedia has it; statsmodels 0.14.
  const table = [
    ...[[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]],
    ...[[7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]],
  ];
  const near = (value: number | null, expected: number) =>
    assert.ok(Math.abs(value! - expected) < 1e-12, `${value}, ${expected}`);
  near(fleissKappa(table), 0.20993070442195522);
  const six = [[3, 0], [2, 1], [0, 3], [1, 2], [3, 0], [0, 3]];
  near(fleissKappa(six), 0.5555555555555554);
  near(fleissKappa([...six, [1, 0], [0, 0]]), 0.5555555555555554); // nothing to agree with
  // By hand: agreement 1, 1/3 and 0 of three slices; 5 of 7 answers are the first.
  const chance = (5 / 7) ** 2 + (2 / 7) ** 2;
  near(fleissKappa([[2, 0], [2, 1], [1, 1]]), ((1 + 1 / 3 + 0) / 3 - chance) / (1 - chance));
  assert.equal(fleissKappa([[2, 0], [3, 0]]), null);
  assert.equal(fleissKappa([[1, 0]]), null);
  const wilsons: [number, number, number, number][] = [
    [15, 20, 0.5312991223812559, 0.8881382985923344],
    [0, 10, 0, 0.27753279986288926],
    [10, 10, 0.7224672001371106, 1],
    [31, 60, 0.39307810032592494, 0.6382495046026722],
  ];
  for (const [k, n, low, high] of wilsons) {
    near(wilson(k, n)[0], low);
    near(wilson(k, n)[1], high);
  }
});

Deno.test("reader study: half of each, as many nodules on both sides, by the seed and not by the order of files", () => {
  const real = records("R", 30, 20), made = records("G", 30, 6);
  const items = chooseItems(real, made, 20, 1);
  const of = (kind: Kind, label?: number) =>
    items.filter((i) => i.kind === kind && (label === undefined || i.record.label === label))
      .length;
  assert.deepEqual([of("real"), of("generated"), of("real", 1), of("generated", 1)], [
    10,
    10,
    5,
    5,
  ]);
  assert.equal(new Set(items.map(({ record }) => record)).size, 20);
  const ids = (list: typeof items) => list.map(({ record }) => record.id);
  assert.deepEqual(ids(chooseItems([...real].reverse(), made, 20, 1)), ids(items));
  assert.notDeepEqual(ids(chooseItems(real, made, 20, 2)), ids(items));
  const kinds = items.map(({ kind }) => kind);
  assert.ok(kinds.slice(0, 10).includes("generated") && kinds.slice(0, 10).includes("real"));
  // Few of one class, few at all, and classes that do not fit.
  const few = chooseItems(real, made.slice(0, 5), 20, 1);
  assert.deepEqual([few.length, few.filter(({ record }) => record.label).length], [10, 10]);
  const odd = chooseItems(records("R", 4, 4), records("G", 4, 0), 8, 1);
  assert.equal(odd.length, 8);
  assert.throws(() => chooseItems([], made, 20, 1), /--real has no slice/);
});

Deno.test("reader study: the page tells nothing of where a slice comes from", async () => {
  const items = chooseItems(records("SECRET", 4, 2), records("MADE", 4, 2, -500), 8, 7);
  const size = { height: 8, width: 8 };
  const study = await makeStudy(items, size, LUNG_WINDOW, 7, () => {});
  const page = readerPage(study);
  for (const word of ["SECRET", "MADE", "_slice_"]) assert.ok(!page.includes(word), word);
  assert.equal(page.match(/<img /g)?.length, 8);
  assert.ok(!/https?:|src="(?!data:)/.test(page));
  assert.match(page, /default-src 'none'.*script-src 'sha256-/);
  for (const picture of study.pictures) assert.deepEqual(decodePng(picture).text, {});
  const lines = page.split("\n").filter((line) => line.startsWith("<img"));
  const plain = lines.map((line, i) =>
    line.replace(/base64,[^"]+/, "").replace(`Slice ${i + 1}`, "")
  );
  assert.equal(new Set(plain).size, 1, "pictures differ in nothing but their pixels");
  const again = await makeStudy(items, size, LUNG_WINDOW, 7, () => {});
  assert.deepEqual(again.key, study.key);
});

const KEY: StudyKey = {
  ...{ study: "abc", seed: 0, window: LUNG_WINDOW },
  items: (["real", "real", "generated", "generated"] as const).map((kind, i) => ({
    ...{ item: i + 1, kind, id: `x${i}` },
  })),
};
const file = (answers: (Kind | null)[], study = "abc") =>
  bytes({
    ...{ study, reader: "A", items: 4 },
    answers: answers.flatMap((answer, i) => answer ? [{ item: i + 1, answer, seconds: 1 }] : []),
  });
const R = "real", G = "generated";

Deno.test("reader study: accuracy of each reader and of all; missing answers are neither right nor wrong", () => {
  const readers = [[R, R, G, G], [R, G, G, null], [null, null, R, R]].map((answers, i) =>
    parseAnswers(file(answers as (Kind | null)[]), `${i}.json`, KEY)
  );
  const score = scoreStudy(KEY, readers);
  assert.deepEqual(score.readers.map(({ answered, correct }) => [answered, correct]), [[4, 4], [
    3,
    2,
  ], [2, 0]]);
  assert.deepEqual(score.readers[1].realCalledReal, 0.5);
  assert.deepEqual(score.readers[1].generatedCalledGenerated, 1);
  assert.ok(Number.isNaN(score.readers[2].realCalledReal));
  assert.equal(score.all.value, (1 + 2 / 3 + 0) / 3);
  assert.ok(score.all.low! < score.all.value && score.all.high! > score.all.value);
  assert.equal(score.shared, 4);
  assert.equal(score.kappa, fleissKappa([[2, 0], [1, 1], [1, 2], [1, 1]]));
  const empty = scoreStudy(KEY, [parseAnswers(file([]), "e.json", KEY)]);
  assert.deepEqual([empty.kappa, empty.readers[0].answered], [null, 0]);
  assert.ok(Number.isNaN(empty.readers[0].accuracy));
});

Deno.test("reader study: answers to another study, items twice or unknown, and what is no key are refused by file", () => {
  const refused = (value: unknown, why: RegExp) =>
    assert.throws(() => parseAnswers(bytes(value), "a.json", KEY), why);
  assert.throws(
    () => parseAnswers(file([R], "xyz"), "a.json", KEY),
    /a\.json.*answers study xyz.*abc/,
  );
  const one = { item: 1, answer: "real" };
  refused({ study: "abc", answers: [one, one] }, /item 1 is answered twice/);
  refused({ study: "abc", answers: [{ item: 5, answer: "real" }] }, /no item 5 among 4/);
  refused(
    { study: "abc", answers: [{ item: 1, answer: "fake" }] },
    /neither "real" nor "generated"/,
  );
  refused([], /no answers/);
  refused({ study: "abc", answers: [null] }, /neither/);
  assert.throws(
    () => parseAnswers(new TextEncoder().encode("{"), "a.json", KEY),
    /a\.json.*not JSON/,
  );
  assert.throws(() => parseKey(bytes({ study: "abc" }), "k.json"), /k\.json.*"items"/);
  const items = [{ item: 2, kind: "real" }];
  assert.throws(() => parseKey(bytes({ study: "abc", items }), "k.json"), /entry 1/);
  assert.deepEqual(parseKey(bytes(KEY), "k.json"), KEY);
});

/** A task as users start it. */
async function run(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [join(ROOT, "run"), ...args],
    cwd: ROOT,
  }).output();
  const text = (b: Uint8Array) => new TextDecoder().decode(b);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("./run reader-study: page and private key, nothing overwritten; answers are scored", async () => {
  const folder = await Deno.makeTempDir();
  const at = (name: string) => join(folder, name);
  const made = await run("phantom", "--patients", "3", "--size", "32", "--out", at("real"));
  assert.equal(made.code, 0, made.err);
  const more = await run(
    "phantom",
    "--patients",
    "3",
    "--size",
    "32",
    "--seed",
    "9",
    "--out",
    at("gen"),
  );
  assert.equal(more.code, 0, more.err);
  const study = [
    "reader-study",
    "--real",
    at("real"),
    "--generated",
    at("gen"),
    "--out",
    at("s.html"),
  ];
  const first = await run(...study, "--count", "6");
  assert.equal(first.code, 0, first.err);
  const key = JSON.parse(await Deno.readTextFile(at("s.key.json")));
  assert.equal(key.items.length, 6);
  if (Deno.build.os !== "windows") {
    assert.equal((await Deno.stat(at("s.key.json"))).mode! & 0o777, 0o600);
  }
  const page = await Deno.readTextFile(at("s.html"));
  for (const { id } of key.items) assert.ok(!page.includes(id), id);
  assert.ok(!page.includes(folder));
  const second = await run(...study, "--seed", "2");
  assert.deepEqual([second.code, /s\.html exists/.test(second.err)], [2, true], second.err);
  assert.equal(await Deno.readTextFile(at("s.html")), page);
  const answers = key.items.map(({ item, kind }: { item: number; kind: Kind }) => ({
    item,
    answer: kind,
  }));
  await Deno.writeTextFile(
    at("a.json"),
    JSON.stringify({ study: key.study, reader: "Ann", answers }),
  );
  const scored = await run("reader-study", "--score", at("a.json"), "--key", at("s.key.json"));
  assert.equal(scored.code, 0, scored.err);
  assert.match(scored.out, /Ann +6 of 6 +100\.0%/);
  const without = await run("reader-study", "--score", at("a.json"));
  assert.deepEqual([without.code, /needs --key/.test(without.err)], [2, true]);
  const idle = await run(
    "reader-study",
    "--score",
    at("a.json"),
    "--key",
    at("s.key.json"),
    "--count",
    "9",
  );
  assert.deepEqual([idle.code, /--count: changes nothing/.test(idle.err)], [2, true]);
  await Deno.remove(folder, { recursive: true });
});
