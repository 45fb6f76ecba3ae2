/** Statistics, tables and page of the benchmark, on made-up figures: no time is ever asserted. */

import assert from "node:assert/strict";
import { abovePeak } from "../../lib/bench/kernels.ts";
import { growthOfRows, growthPairs, rowsOfPair, type StepRow } from "../../lib/bench/growth.ts";
import type { FeatureReport } from "../../lib/bench/features.ts";
import { compareHalf } from "../../lib/bench/model.ts";
import { benchPage } from "../../lib/bench/page.ts";
import { Peer } from "../../lib/bench/peers.ts";
import { featurePeer, HUGE_PAGES, peerSpecs } from "../../lib/bench/programs.ts";
import type { BenchReport } from "../../lib/bench/report.ts";
import { Budget, median, quantile, timing } from "../../lib/bench/statistics.ts";
import {
  benchMarkdown,
  benchTables,
  featureMarkdown,
  featureTable,
  replaceMeasured,
  short,
} from "../../lib/bench/tables.ts";
import { ratiosInTurns } from "../../lib/bench/turns.ts";
import { assertOwnPolicy } from "./page_policy.ts";

Deno.test("bench: median and quartiles as numpy has them", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([1, 2, 3, 4], 0.25), 1.75);
  assert.throws(() => median([]), /no values/);
  const { least, spread, samples } = timing([10, 12, 14, 16, 18]);
  assert.deepEqual([least, samples], [10, 5]);
  assert.equal(spread, 2 / 14);
});

Deno.test("bench: a budget is shared among parts and never negative", () => {
  let now = 0;
  const budget = new Budget(10, () => now);
  now = 4000;
  assert.equal(budget.left, 6);
  const part = budget.part(0.5);
  now = 6000;
  assert.equal(part.left, 1);
  now = 20_000;
  assert.equal(budget.left, 0);
  assert.equal(part.left, 0);
});

Deno.test("bench: faster than the device is an error; Winograd may save multiplications", () => {
  assert.deepEqual(abovePeak("a", 100, true, { gflops: 100 }), []);
  assert.match(abovePeak("a", 101, true, { gflops: 100 }).join(), /above the measured peak/);
  assert.deepEqual(abovePeak("a", 399, false, { gflops: 100 }), []);
  assert.match(abovePeak("a", 401, false, { gflops: 100 }).join(), /above/);
});

Deno.test("bench: growth is from the smallest to the largest that was measured", () => {
  const row = (kind: "train" | "sample", batch: number, size: number, ms?: number): StepRow => ({
    kind,
    batch,
    size,
    time: ms === undefined ? undefined : { ...time, median: ms },
  });
  const pairs = growthPairs([
    row("train", 16, 128, 9000),
    row("train", 1, 128, 700),
    row("train", 2, 128, 1300),
    row("train", 1, 64, 300),
    row("train", 1, 256),
    row("sample", 1, 128, 400),
    row("sample", 8, 64, 700),
  ]);
  assert.deepEqual(pairs.map(({ what, work }) => [what, work]), [
    ["train @128, batch 1 → 16", 16],
    ["train batch 1, size 64 → 128", 4],
  ]);
  assert.deepEqual(pairs[0].steps.map((s) => [s.batch, s.time!.median]), [[1, 700], [16, 9000]]);
  assert.deepEqual(growthOfRows(pairs[0]), {
    what: "train @128, batch 1 → 16",
    time: 9000 / 700,
    work: 16,
    turns: 0,
  });
});

Deno.test("bench: growth in turns does not take a machine that slows down for growth", async () => {
  const log: string[] = [];
  let slowness = 1;
  const step = (name: string, ms: number) => ({
    time(count: number) {
      log.push(`${count} ${name}`);
      return Promise.resolve(ms * slowness);
    },
  });
  const steps = [step("small", 300), step("large", 4000)] as const;
  const ratios = await ratiosInTurns(steps, rowsOfPair([300, 4000]), (turns) => {
    slowness = 1 + turns;
    return turns < 3;
  });
  assert.deepEqual(ratios, [4000 / 300, 4000 / 300, 4000 / 300]);
  assert.deepEqual(log.slice(0, 2), ["13 small", "1 large"]);
  assert.deepEqual(log.slice(2, 4), ["1 large", "13 small"], "neither is always first");
  log.length = 0;
  // Short steps go in rows: finding out that one is done takes 10 ms.
  const short = [step("small", 100), step("large", 400)] as const;
  const once = (turns: number) => turns < 1;
  assert.deepEqual(await ratiosInTurns(short, rowsOfPair([100, 400]), once), [4]);
  assert.deepEqual(log, ["12 small", "3 large"]);
});

Deno.test("bench: f16 that is faster is above 1, in turns that end with the time", async () => {
  const rows: number[] = [];
  const step = (ms: number) => ({
    time(count: number) {
      rows.push(count);
      return Promise.resolve(ms);
    },
  });
  const ratios = (most: number) => compareHalf(step(40), step(50), 50, most);
  assert.deepEqual(await ratios(0), [1.25, 1.25]);
  assert.deepEqual(rows, [3, 3, 3, 3], "rows of about 150 ms");
  assert.equal((await ratios(1600)).length, 5, "300 ms each");
  assert.equal((await ratios(1e9)).length, 41);
});

Deno.test("bench: numbers keep three figures", () => {
  assert.deepEqual([0, 1234.5, 12.345, 0.01234].map(short), ["0", "1235", "12.3", "0.0123"]);
});

const time = { median: 20, least: 18, spread: 0.05, samples: 5 };
const row = {
  op: "conv2d",
  phase: "forward",
  variant: "direct",
  shapes: "[8,32,8,8] <32>",
  scope: "conv_in",
  count: 2,
  dispatches: 2,
  time,
  flops: 1e9,
  bytes: 1e6,
  gflops: 50,
  gigabytes: 0.05,
  share: 0.8,
  error: 1e-7,
  tolerance: 1e-6,
  exact: true,
};
const REPORT: BenchReport = {
  version: 1,
  date: "2026-01-02T03:04:05.000Z",
  command: "deno task bench",
  adapter: "a | b",
  software: true,
  cores: 2,
  processor: "Intel | AMD",
  versions: { Deno: "2.9.6" },
  tuned: false,
  exact: false,
  seconds: 3,
  peaks: {
    gflops: 100,
    gigabytes: 5,
    copies: { storage: 2, staged: 5 },
    lowest: { gflops: 61.5, copies: { storage: 1.25, staged: 4 } },
  },
  kernels: {
    batch: 8,
    size: 128,
    rounds: 5,
    stepMilliseconds: time,
    rows: [row, { ...row, op: "silu", share: 0.2, error: null }],
    convolutions: [{
      what: "forward",
      gflops: 50,
      shapes: [{ shape: "32→32 @128", variant: "direct", exact: true, gflops: 50, time }],
    }],
    notConvolution: 0.2,
  },
  model: {
    rows: [
      {
        kind: "train",
        batch: 1,
        size: 32,
        time,
        imagesPerSecond: 50,
        gflops: 20,
        bytes: 2 ** 21,
        half: { time: { ...time, median: 16 }, bytes: 2 ** 20, faster: 1.25, turns: 9 },
      },
      { kind: "train", batch: 16, size: 256, skipped: "no time left" },
    ],
    growth: [
      { what: "train @128, batch 1 → 8", time: 7, work: 8, turns: 3 },
      { what: "train batch 1, size 32 → 256", time: 50, work: 64, turns: 0 },
    ],
  },
  firstSteps: [{
    preset: "demo",
    cold: { total: 5000, compile: 1000, residentPeak: 2 ** 20, planned: 2 ** 20 },
    warm: { total: 1000, compile: 100, residentPeak: 2 ** 20, planned: 2 ** 20 },
  }],
  peers: {
    versions: { PyTorch: "2.13.0" },
    rows: [
      { what: "forward", batch: 1, size: 128, name: "this project", time, ratio: 1 },
      { what: "forward", batch: 1, size: 128, name: "PyTorch", failed: "it ended" },
    ],
  },
};

const FEATURES: FeatureReport = {
  slices: 256,
  side: 128,
  batch: 8,
  turn: 16,
  versions: { PyTorch: "PyTorch 2" },
  rows: [
    { name: "this project", total: 80, time: timing([312.5]), ratio: 1, firstMilliseconds: 4000 },
    {
      name: "PyTorch",
      total: 40,
      time: timing([156.25]),
      ratio: 0.5,
      firstMilliseconds: 3000,
      difference: 1e-6,
    },
    { name: "other", failed: "no such file" },
  ],
};

Deno.test("bench: every row of a table has a cell for every column", () => {
  const { head, rows } = featureTable(FEATURES);
  for (const row of rows) assert.equal(row.length, head.length);
  const tables = benchTables(REPORT);
  assert.ok(tables.length >= 9);
  for (const { title, head, rows } of tables) {
    for (const r of rows) assert.equal(r.length, head.length, title);
  }
});

Deno.test("bench: tables go between the markers of a document, and nothing else changes", () => {
  const document = "before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n";
  const text = replaceMeasured(document, benchMarkdown(REPORT));
  assert.match(
    text,
    /^before\n<!-- measured: begin -->\n\n2026-01-02, a \| b, 2 CPU cores \(Intel \| AMD\); /,
  );
  assert.match(text, /<!-- measured: end -->\nafter\n$/);
  assert.doesNotMatch(text, /\bold\b/);
  assert.match(text, /not checked/);
  assert.match(text, /\| multiply-add in registers, GFLOP\/s \| 100\.0 \| 61\.5 \|/);
  assert.throws(() => replaceMeasured("none", ""), /lacks/);

  const both = "<!-- features: begin -->\n<!-- features: end -->\n" + document;
  const features = replaceMeasured(both, featureMarkdown(REPORT, FEATURES), "features");
  assert.ok(features.endsWith(document));
  assert.match(features, /\| PyTorch \| 40\.0 \| 156 \| ±0% \| 0\.50 \| 3\.0 \| 1\.0e-6 \|/);
  assert.match(features, /\| other \| no such file \|/);
});

Deno.test("bench: the page stands alone and escapes what it shows", () => {
  const page = benchPage(REPORT);
  assertOwnPolicy(page);
  assert.match(page, /<svg/);
  assert.match(page, /&lt;32&gt;/);
  assert.doesNotMatch(page, /https?:\/\/|NaN|Infinity|undefined/);
});

Deno.test("bench: programs on WebGPU run with Mesa's own vectors where ours are others", () => {
  const environments = (shaders?: string) =>
    peerSpecs({ python: "python3", compile: false, shaders }).map(({ name, env = {} }) => [
      name,
      env.LP_NATIVE_VECTOR_WIDTH,
      env.MESA_SHADER_CACHE_DIR,
    ]);
  const names = ["jax-js, WebGPU", "TensorFlow.js, WebGPU", "onnxruntime-web, WebGPU"];
  const torch = ["PyTorch", undefined, undefined];
  assert.deepEqual(environments("own-shaders"), [
    torch,
    ...names.map((name) => [name, "256", "own-shaders"]),
  ]);
  assert.deepEqual(environments(), [torch, ...names.map((name) => [name, undefined, undefined])]);
});

Deno.test("bench: PyTorch runs as users start it, and beside that as ./run starts us", async () => {
  const run = await Deno.readTextFile(new URL("../../run", import.meta.url));
  assert.ok(run.includes(`GLIBC_TUNABLES-${HUGE_PAGES}}`));
  const started = (tunables?: string) =>
    peerSpecs({ python: "python3", compile: true, tunables })
      .filter((s) => s.name.startsWith("PyTorch"))
      .map(({ name, env }) => [name, env?.GLIBC_TUNABLES]);
  assert.deepEqual(started(HUGE_PAGES), [
    ["PyTorch", ""],
    ["PyTorch, huge pages", undefined],
    ["PyTorch, torch.compile", ""],
  ]);
  assert.equal(featurePeer("python3", HUGE_PAGES).env?.GLIBC_TUNABLES, "");
  // Somebody else's stay.
  for (const tunables of [undefined, "glibc.malloc.check=3"]) {
    const plain = [["PyTorch", undefined], ["PyTorch, torch.compile", undefined]];
    assert.deepEqual(started(tunables), plain);
    assert.equal(featurePeer("python3", tunables).env?.GLIBC_TUNABLES, undefined);
  }
});

Deno.test("bench: a peer has the variables that its row says", async () => {
  const code = `for await (const _ of Deno.stdin.readable) {
    console.log("@bench " + JSON.stringify({ has: Deno.env.get("GLIBC_TUNABLES") }));
  }`;
  const spec = { name: "", command: "deno", args: ["eval", code], needs: 0, patience: 60 };
  const peer = new Peer({
    ...spec,
    batches: { forward: [], train: [] },
    env: { GLIBC_TUNABLES: "none.at.all=1" },
  });
  assert.deepEqual(await peer.ask({ do: "tell" }), { has: "none.at.all=1" });
  peer.end();
});
