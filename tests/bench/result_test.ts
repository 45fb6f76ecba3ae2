/** Intervals, verdicts, files and tables of results, on made-up times: no real time is ever asserted. */

import assert from "node:assert/strict";
import { parse } from "csv-parse/sync";
import { flagsOf, isSettled, studentT, summary } from "../../lib/bench/blocks.ts";
import { inBatches, resolution } from "../../lib/bench/clock.ts";
import { compareResults, regressions, verdictOf } from "../../lib/bench/compare.ts";
import { measure } from "../../lib/bench/measure.ts";
import { compareTable, rowsCsv, rowTable } from "../../lib/bench/output.ts";
import { type BenchResult, type ResultRow, traceOf } from "../../lib/bench/result.ts";
import { readResult, schemaError } from "../../lib/bench/result_file.ts";
import { Budget } from "../../lib/bench/statistics.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

/** Normal deviates. */
const normals = (seed: number) => {
  const random = new PhiloxStream(seed);
  return () =>
    Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
};

interface Simulated {
  readonly seed: number;
  readonly rows?: number;
  readonly blocks?: number;
  /** Row → how many times slower it really is. */
  readonly slower?: (row: number) => number;
  /** How many times slower the whole machine is. */
  readonly machine?: number;
  /** Standard deviations of logarithms: within a block, of a row from run to run, of a walk. */
  readonly noise?: number;
  readonly between?: number;
  readonly walk?: number;
}

/** A run as the program writes it, of a machine that drifts. */
function simulate(options: Simulated): BenchResult {
  const { seed, rows = 40, blocks = 6, slower = () => 1, machine = 1 } = options;
  const { noise = 0.01, between = 0.002, walk = 0.005 } = options;
  const normal = normals(seed);
  const offsets = Array.from({ length: rows }, () => between * normal());
  let drift = 0;
  const times: { times: number[]; calibration: { compute: number; copy: number } }[][] = Array
    .from({ length: rows }, () => []);
  for (let block = 0; block < blocks; block++) {
    for (let row = 0; row < rows; row++) {
      drift += walk * normal();
      const now = machine * Math.exp(drift);
      const fixed = () => 2 * now * Math.exp(noise * normal() / 2);
      times[row].push({
        calibration: { compute: fixed(), copy: fixed() },
        times: Array.from(
          { length: 9 },
          () => (1 + row) * now * slower(row) * Math.exp(offsets[row] + noise * normal()),
        ),
      });
    }
  }
  return {
    ...RESULT,
    rows: times.map((all, i) => ({
      ...ROW,
      ...summary(all),
      key: `conv2d/v/${i}`,
      kernel: String(slower(i)),
      trace: traceOf(all),
      flags: flagsOf(all),
    })),
  };
}

const ROW: ResultRow = {
  ...{ key: "conv2d/direct/1", op: "conv2d", variant: "direct", shape: 'x 8×32, "odd", w' },
  ...{ scope: "conv_in", count: 1, dispatches: 1, exact: true, kernel: "0a", cache: "warm" },
  ...{ clock: "timestamps", median: 1, p20: 0.9, p80: 1.1, least: 0.8, interval: [0.9, 1.1] },
  ...{ samples: 9, blocks: 1, trace: [{ median: 1, p20: 0.9, samples: 9, compute: 2, copy: 2 }] },
  ...{ flags: ["noisy", "drift"], flops: 1e9, bytes: 1e6, gflops: 1000, gigabytes: 1 },
  ...{ intensity: 1000, ofCompute: 0.5, ofCopy: 0.1, ofRoof: 0.5, error: 1e-7, tolerance: 1e-6 },
};

const RESULT: BenchResult = {
  ...{ format: "lung-ddpm-webgpu/bench", version: 1, date: "2026-01-02T03:04:05.006Z" },
  ...{ program: "x 1", options: { model: "seed", batch: 8, exact: false }, seconds: 3 },
  machine: {
    ...{ adapter: "a | b", vendor: "", architecture: "", software: true, processor: "p", cores: 2 },
    ...{ features: ["shader-f16"], limits: { maxBufferSize: 1 }, runtime: { Deno: "2" } },
    subgroups: { works: true, why: "", least: 8, most: null },
  },
  peaks: {
    ...{ gflops: 2000, gigabytes: 10, copies: { storage: 9, staged: 10 } },
    lowest: { gflops: 1900, copies: { storage: 8, staged: 9 } },
  },
  rows: [ROW],
};

Deno.test("Student's t as scipy has it", () => {
  // scipy.stats.t.ppf(0.975, n), t.ppf(0.9975, n)
  const values = [[4, 2.776, 5.598], [10, 2.228, 3.581], [12, 2.179, 3.428], [30, 2.042, 3.03]];
  for (const [n, at95, at995] of values) {
    assert.ok(Math.abs(studentT(95, n) / at95 - 1) < 0.004, `${n}`);
    assert.ok(Math.abs(studentT(99.5, n) / at995 - 1) < 0.012, `${n}`);
  }
  assert.equal(studentT(95, 2.5), (4.303 + 3.182) / 2);
  assert.equal(studentT(95, 0.5), Infinity);
});

Deno.test("an interval is the blocks', not the samples': a machine that drifts is not known better", () => {
  const block = (ms: number) => ({ times: Array.from({ length: 100 }, () => ms) });
  const { median, interval, samples, blocks } = summary([10, 11, 12, 13, 14].map(block));
  assert.deepEqual([median, samples, blocks], [12, 500, 5]);
  assert.ok(interval[0] < 10.3 && interval[0] > 9.5 && interval[1] > 13.7, String(interval));
  assert.ok(!isSettled(summary([10, 11, 12, 13, 14].map(block))));
  assert.ok(isSettled(summary([10, 10.01, 10, 9.99, 10].map(block))));
  assert.ok(!isSettled(summary([10, 10, 10, 10].map(block))), "four blocks may agree by chance");
});

Deno.test("95% intervals hold the median 95 times in 100", () => {
  const normal = normals(5);
  let held = 0;
  for (let i = 0; i < 2000; i++) {
    const all = Array.from({ length: 6 }, () => {
      const of = Math.exp(0.02 * normal());
      return { times: Array.from({ length: 5 }, () => of * Math.exp(0.002 * normal())) };
    });
    const [low, high] = summary(all).interval;
    if (low <= 1 && high >= 1) held++;
  }
  assert.ok(held > 0.935 * 2000 && held < 0.965 * 2000, String(held));
});

Deno.test("what spoils a row is said: noise, a clock that drifts, an interval that is too wide", () => {
  const make = (times: number[], compute: number) => ({ times, calibration: { compute, copy: 1 } });
  assert.deepEqual(flagsOf(Array(6).fill(make([10, 10, 10], 1))), []);
  assert.deepEqual(flagsOf(Array(6).fill(make([5, 10, 20], 1))), ["noisy"]);
  assert.deepEqual(flagsOf([1, 1.2, 1, 1.2, 1].map((c) => make([10, 10], c))), ["drift"]);
  assert.deepEqual(flagsOf([make([10, 10], 1)]), ["unsettled"]);
});

Deno.test("kernels take turns, block by block, until each is settled or the time is up", async () => {
  let now = 0;
  const log: string[] = [];
  const kernel = (name: string, times: () => number) => ({
    load: () => {
      log.push(name);
      return Promise.resolve({
        sample: (count: number) => {
          const all = Array.from({ length: count }, times);
          now += all.reduce((a, b) => a + b, 0);
          return Promise.resolve(all);
        },
        destroy: () => log.push(`-${name}`),
      });
    },
  });
  const calibrate = () => Promise.resolve({ compute: 1, copy: 1 });
  let i = 0;
  const noisy = () => 20 * (1 + (i++ % 7) / 7);
  const budget = (seconds: number) => new Budget(seconds, () => now);
  const [steady, other] = await measure([kernel("a", () => 20), kernel("b", noisy)], {
    ...{ budget: budget(3), calibrate },
  });
  assert.equal(steady.length, 5, "settled after five blocks");
  assert.ok(other.length > 5, "the noisy one gets what is left of the time");
  assert.deepEqual(log.slice(0, 8), ["a", "-a", "b", "-b", "a", "-a", "b", "-b"]);
  assert.ok(now > 3000 && now < 3300, String(now));
  log.length = 0;
  now = 0;
  const [a, b] = await measure([kernel("a", () => 500), kernel("b", () => 500)], {
    ...{ budget: budget(0.1), calibrate },
  });
  assert.deepEqual(
    [a.length, b.length],
    [2, 2],
    "each has two blocks, however little time there is",
  );
  assert.deepEqual(a[0].times, [500, 500, 500]);
});

Deno.test("the same commit twice: no FAST and no SLOW, though the machine drifts and is slower", () => {
  let rows = 0;
  for (let pair = 0; pair < 40; pair++) {
    const old = simulate({ seed: 2 * pair + 1, walk: 0.004 });
    const fresh = simulate({ seed: 2 * pair + 2, walk: 0.004, machine: pair % 2 ? 1.15 : 0.95 });
    const comparison = compareResults(old, fresh);
    rows += comparison.rows.length;
    const alarms = comparison.rows.filter((r) => r.verdict === "SLOW" || r.verdict === "FAST");
    assert.deepEqual(alarms.map((r) => [pair, r.ratio, r.low, r.high]), []);
  }
  assert.equal(rows, 1600);
});

Deno.test("rows that scatter from run to run, however sure each run is of them, are no FAST and no SLOW", () => {
  const sure = { noise: 0.001, walk: 0, between: 0.03 };
  let ambiguous = 0;
  for (let pair = 0; pair < 10; pair++) {
    const { rows, betweenRuns } = compareResults(
      simulate({ ...sure, seed: 300 + 2 * pair }),
      simulate({ ...sure, seed: 301 + 2 * pair }),
    );
    assert.ok(betweenRuns > 0.02 && betweenRuns < 0.08, String(betweenRuns));
    assert.deepEqual(rows.filter((r) => r.verdict === "SLOW" || r.verdict === "FAST"), []);
    ambiguous += rows.filter((r) => r.verdict === "AMBIGUOUS").length;
  }
  assert.equal(ambiguous, 400);
});

Deno.test("a kernel made 5% slower is SLOW, one of 1% is not, and one made 10% faster is FAST", () => {
  const slower = (row: number) => ({ 3: 1.05, 7: 1.01, 11: 0.9 })[row] ?? 1;
  const found = { slow: 0, one: 0, fast: 0 };
  for (let pair = 0; pair < 40; pair++) {
    const quiet = { noise: 0.004, walk: 0.0003 };
    const { rows } = compareResults(
      simulate({ ...quiet, seed: 500 + pair }),
      simulate({ ...quiet, seed: 600 + pair, slower }),
    );
    if (rows[3].verdict === "SLOW") found.slow++;
    if (rows[7].verdict === "SLOW") found.one++;
    if (rows[11].verdict === "FAST") found.fast++;
    assert.ok(rows[3].changed && !rows[4].changed);
    const others = rows.filter((_, i) => ![3, 7, 11].includes(i)).map((r) => r.verdict);
    assert.ok(!others.includes("SLOW") && !others.includes("FAST"));
  }
  assert.ok(found.slow >= 38 && found.fast === 40, JSON.stringify(found));
  assert.equal(found.one, 0);
});

Deno.test("where nothing can be told it is AMBIGUOUS, whatever the quotient is", () => {
  const noisy = { noise: 0.5, walk: 0.05, blocks: 5 };
  const { rows } = compareResults(
    simulate({ ...noisy, seed: 1 }),
    simulate({ ...noisy, seed: 2, slower: () => 1.1 }),
  );
  assert.ok(rows.every((r) => r.verdict === "AMBIGUOUS"));
  // A row alone, with a block each: nothing at all is known.
  const one = { rows: 1, blocks: 1 };
  const alone = compareResults(
    simulate({ ...one, seed: 1 }),
    simulate({ ...one, seed: 2, slower: () => 5 }),
  );
  assert.equal(alone.rows[0].verdict, "AMBIGUOUS");
  assert.equal(verdictOf({ ratio: 1.05, low: 1.021, high: 1.08 }), "SLOW");
  assert.equal(verdictOf({ ratio: 1.05, low: 1.019, high: 1.08 }), "AMBIGUOUS");
  assert.equal(verdictOf({ ratio: 1, low: 0.99, high: 1.01 }), "SAME");
  assert.equal(verdictOf({ ratio: 0.9, low: 0.85, high: 0.97 }), "FAST");
});

Deno.test("a comparison fails on SLOW, or on what is slower than a share", () => {
  const slower = (row: number) => row === 2 ? 1.2 : row === 5 ? 1.06 : 1;
  const quiet = { noise: 0.002, walk: 0 };
  const comparison = compareResults(
    simulate({ ...quiet, seed: 1 }),
    simulate({ ...quiet, seed: 2, slower }),
  );
  const failing = (above?: number) => regressions(comparison, above).map((r) => r.new.key);
  assert.deepEqual(failing(), ["conv2d/v/2", "conv2d/v/5"]);
  assert.deepEqual(failing(0.1), ["conv2d/v/2"]);
  const shown = compareTable(comparison);
  assert.deepEqual(shown.rows.slice(0, 2).map((r) => r[0]), ["SLOW", "SLOW"]);
  assert.match(shown.note!, /^2 SLOW, 0 FAST, /);
});

Deno.test("results of two machines, or without a row in common, are not compared", () => {
  const [old, fresh] = [simulate({ seed: 1 }), simulate({ seed: 2 })];
  const elsewhere = { ...fresh, machine: { ...fresh.machine, adapter: "another" } };
  assert.throws(
    () => compareResults(old, elsewhere),
    /InputError: .*different machines \(adapter "a \| b" and "another"\): --any-adapter/,
  );
  assert.equal(compareResults(old, elsewhere, { anyAdapter: true }).rows.length, 40);
  const renamed = fresh.rows.map((r) => ({ ...r, cache: "cold" as const }));
  assert.throws(() => compareResults(old, { ...fresh, rows: renamed }), /no row in common/);
  const { onlyOld, onlyNew } = compareResults(old, {
    ...fresh,
    rows: [...fresh.rows.slice(1), { ...fresh.rows[0], key: "new" }],
  });
  assert.deepEqual([onlyOld, onlyNew], [["conv2d/v/0 warm timestamps"], ["new warm timestamps"]]);
});

Deno.test("the schema takes what is written, and nothing that lacks a key, has another, or is no number", () => {
  assert.equal(schemaError(RESULT), undefined);
  assert.equal(schemaError(simulate({ seed: 1 })), undefined);
  for (const key of Object.keys(RESULT)) {
    const { [key as keyof BenchResult]: _, ...rest } = RESULT;
    assert.match(schemaError(rest)!, new RegExp(`required property '${key}'`));
  }
  for (const key of Object.keys(ROW)) {
    const { [key as keyof ResultRow]: _, ...rest } = ROW;
    assert.match(schemaError({ ...RESULT, rows: [rest] })!, /^\/rows\/0 .*required property/, key);
  }
  for (
    const [value, why] of [
      [{ ...RESULT, home: "/home/x" }, /additional properties/],
      [{ ...RESULT, version: 2 }, /^\/version /],
      [{ ...RESULT, rows: [{ ...ROW, median: 0 }] }, /^\/rows\/0\/median /],
      [{ ...RESULT, rows: [{ ...ROW, median: null }] }, /^\/rows\/0\/median /],
      [{ ...RESULT, rows: [{ ...ROW, trace: [] }] }, /^\/rows\/0\/trace /],
      [{ ...RESULT, rows: [{ ...ROW, flags: ["fine"] }] }, /^\/rows\/0\/flags\/0 /],
      [[], /must be object/],
    ] as const
  ) assert.match(schemaError(value)!, why);
});

Deno.test("a file that is no result is refused with its name and the reason", async () => {
  const folder = await Deno.makeTempDir({ prefix: "bench-" });
  const path = `${folder}/r.json`;
  const says = async (text: string) => {
    await Deno.writeTextFile(path, text);
    return await readResult(path).then(() => "", (e) => `${e.name}: ${e.message}`);
  };
  assert.equal(await says(JSON.stringify(RESULT)), "");
  assert.match(await says("{"), /^InputError: Cannot read ".*r\.json": not JSON/);
  assert.match(await says("[".repeat(99)), /nested deeper than 8/);
  assert.match(await says("{}"), /it is no result of \.\/run bench: \/ must have required/);
  const odd = { ...RESULT, rows: [{ ...ROW, op: "\u001b[2J".repeat(1e4) }] };
  const message = await says(JSON.stringify(odd));
  assert.ok(message.length < 330 && !message.includes("\u001b"), message);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("tables and CSV say what was measured", () => {
  const { head, rows, note } = rowTable(RESULT);
  const cell = (name: string) => rows[0][head.indexOf(name)];
  assert.deepEqual(
    ["ms", "95%", "of peak", "of roof", "error", "remarks"].map(cell),
    ["1.00", "±10%", "50%", "50%", "1.0e-7", "noisy, drift"],
  );
  assert.match(note!, /peaks of this run: 2000 GFLOP\/s, 10.0 GB\/s. Timed by the device's/);
  const unchecked = rowTable({ ...RESULT, rows: [{ ...ROW, error: null }] });
  assert.equal(unchecked.rows[0][unchecked.head.indexOf("error")], "not checked");
  const [line] = parse(rowsCsv([ROW]), { columns: true }) as Record<string, string>[];
  assert.deepEqual(
    [line.shape, line.median, line.low, line.high, line.flags],
    ['x 8×32, "odd", w', "1", "0.9", "1.1", "noisy drift"],
  );
});

Deno.test("a clock that is too coarse is recognised; batches leave out what a wait takes", async () => {
  assert.equal(resolution([300_000, 100_000, 700_000]), 100_000);
  assert.equal(resolution([1000, 1001]), 1);
  let now = 0, waits = 0;
  const times = await inBatches({
    run: () => now += 3,
    idle: () => {
      now += 11;
      waits++;
      return Promise.resolve();
    },
    now: () => now,
  }, 4);
  assert.deepEqual(times, [3, 3, 3, 3]);
  assert.ok(waits < 15);
});
