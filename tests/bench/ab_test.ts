/** Two kernels in turns, and texts in the place of others: on made-up times, no device. */

import assert from "node:assert/strict";
import { again, bootstrap, compareTwo } from "../../lib/bench/ab.ts";
import { jobsOfShapes } from "../../lib/bench/jobs.ts";
import type { Timeable } from "../../lib/bench/measure.ts";
import { fileReplaced, kernelFiles, partsOf, withTexts } from "../../lib/bench/replaced.ts";
import { Budget } from "../../lib/bench/statistics.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

const ROOT = new URL("../../", import.meta.url);
const read = (path: string) => {
  try {
    return Deno.readTextFileSync(new URL(path, ROOT));
  } catch {
    return undefined;
  }
};

Deno.test("a bootstrap interval holds the true ratio 99 times in 100", () => {
  const random = new PhiloxStream(3);
  let held = 0;
  for (let i = 0; i < 200; i++) {
    const ratios = Array.from(
      { length: 21 },
      () => 1.03 * Math.exp(0.1 * (random.uniform() - 0.5)),
    );
    const { low, high, ratio } = bootstrap(ratios, i);
    assert.ok(low <= ratio && ratio <= high);
    if (low <= 1.03 && high >= 1.03) held++;
  }
  assert.ok(held >= 194, String(held));
});

/** A kernel on a machine whose speed changes as it pleases. */
function fake(ms: number, machine: () => number, log: string[] = [], name = ""): Timeable {
  return {
    load: () =>
      Promise.resolve({
        sample: (count) => {
          log.push(name);
          return Promise.resolve(Array.from({ length: count }, () => ms * machine()));
        },
        destroy: () => log.push(`-${name}`),
      }),
  };
}

Deno.test("a kernel beside itself is SAME though the machine changes; 5% slower is SLOW, 5% faster is not", async () => {
  const random = new PhiloxStream(9);
  let speed = 1;
  const machine = () => {
    speed *= Math.exp(0.02 * (random.uniform() - 0.5));
    return speed * (1 + 0.05 * random.uniform());
  };
  const budget = () => new Budget(1e6, () => 0);
  const ratio = (slower: number) =>
    compareTwo([fake(1, machine), fake(slower, machine)], { budget: budget() });
  const same = await ratio(1);
  assert.ok(same.low <= 1 && same.high >= 1 && same.verdict === "SAME", JSON.stringify(same.low));
  const slow = await ratio(1.05);
  assert.ok(Math.abs(slow.ratio - 1.05) < 0.01 && slow.verdict === "SLOW");
  assert.equal((await ratio(0.95)).verdict, "FAST");
});

Deno.test("neither is always first, both are freed, and the time ends it after ten turns", async () => {
  const log: string[] = [];
  const still = () => 1;
  const result = await compareTwo([fake(5, still, log, "a"), fake(5, still, log, "b")], {
    ...{ budget: new Budget(0), precision: 0 },
  });
  assert.equal(result.turns, 10);
  assert.deepEqual(log.slice(0, 12), [
    ...["a", "a", "b", "b", "-a", "-b", "b", "b", "a", "a", "-a", "-b"],
  ]);
  assert.equal(result.a.length, 30, "three runs of 5 ms a turn, without the first");
});

Deno.test("--watch: once, then at each save; an error is told and waited out", async () => {
  const seen: string[] = [];
  let runs = 0;
  async function* saves() {
    yield* [await Promise.resolve(1), 2];
  }
  await again(
    saves(),
    () => ++runs === 2 ? Promise.reject(new Error("wrong index")) : Promise.resolve(),
    (error) => seen.push(error.message),
  );
  assert.deepEqual([runs, seen], [3, ["wrong index"]]);
});

const variantsAt = (op: string, shape: string, software = true) =>
  jobsOfShapes(op, [shape], [], { device: { ...DEFAULT_PROFILE, software } }, {
    ...{ precision: "f32", variant: "all" },
  }).map((j) => j.variant);

Deno.test("another text takes the place of its file alone; libraries that it joins stay", () => {
  const [stats] = variantsAt("group_norm_stats", "x=1x32x8x32");
  const [file] = kernelFiles(stats);
  const own = read(file)!;
  const text = own.replace("squares += q", "squares += 2.0 * q");
  assert.notEqual(text, own);
  const changed = withTexts(stats, new Map([[file, text]]), read);
  const [before, after] = [stats, changed].map((v) => v.build().calls[0].kernel.text);
  assert.equal(after, before.replace("squares += q", "squares += 2.0 * q"));
  assert.equal(after.split("\n").length, before.split("\n").length);
  assert.equal(stats.build().calls[0].kernel.text, before, "the variant itself stays as it is");
  const parts = partsOf(stats, [file, "kernels/no.wgsl"], read);
  assert.deepEqual(parts, [file]);
  const joining = text.replace(/^\/\/ Joins: .*$/m, "// Joins: kernels/lib/other.wgsl");
  assert.throws(
    () => withTexts(stats, new Map([[file, joining]]), read),
    /InputError: the new kernels.*joins other libraries/,
  );
  assert.throws(() => withTexts(stats, new Map([["kernels/no.wgsl", ""]]), read), /has no kernels/);
});

Deno.test("a file stands for the only one, for the one of its name, or for the one that is named", () => {
  const [stats] = variantsAt("group_norm_stats", "x=1x32x8x32");
  assert.equal(fileReplaced(stats, "/tmp/mine.wgsl"), kernelFiles(stats)[0]);
  const many = variantsAt("conv2d", "x=1x64x32x32,w=64x64x3x3").find((v) =>
    kernelFiles(v).length > 1
  )!;
  const [first, second] = kernelFiles(many);
  assert.equal(fileReplaced(many, `/tmp/${second.split("/").at(-1)}`), second);
  assert.equal(fileReplaced(many, "/tmp/mine.wgsl", first), first);
  assert.throws(
    () => fileReplaced(many, "/tmp/mine.wgsl"),
    (e: Error) => e.message.includes(first) && /--file says which of them \/tmp/.test(e.message),
  );
  assert.throws(() => fileReplaced(many, "/tmp/mine.wgsl", "x.wgsl"), /\(not x.wgsl\)/);
});
