/** `./run bench compare`: exit codes and what is said, on made-up results. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Rows whose blocks differ by a thousandth; row i takes `slower(i)` times as long. */
function result(slower: (row: number) => number = () => 1, adapter = "one") {
  const rows = Array.from({ length: 10 }, (_, i) => {
    const trace = Array.from({ length: 6 }, (_, b) => {
      const ms = (1 + i) * slower(i) * (1 + (b % 3) / 1000);
      return { median: ms, p20: ms, samples: 9, compute: 2, copy: 2 };
    });
    const { median } = trace[0];
    return {
      ...{ key: `silu/vec4/${i}`, op: "silu", variant: "vec4", shape: `${i}`, scope: "", count: 1 },
      ...{ dispatches: 1, exact: true, kernel: String(slower(i)), clock: "timestamps" },
      ...{ cache: "warm", median, p20: median, p80: median, least: median },
      ...{ interval: [median, median], samples: 54, blocks: 6, trace, flags: [], flops: 1 },
      ...{ bytes: 1, gflops: 1, gigabytes: 1, intensity: 1, ofCompute: 0.1, ofCopy: 0.5 },
      ...{ ofRoof: 0.5, error: 0, tolerance: 1 },
    };
  });
  return {
    ...{ format: "lung-ddpm-webgpu/bench", version: 1, date: "2026-01-02T03:04:05.006Z" },
    ...{ program: "test", options: {}, seconds: 1, rows },
    machine: {
      ...{ adapter, vendor: "", architecture: "", software: true, processor: "", cores: 1 },
      ...{ features: [], limits: {}, runtime: {} },
      subgroups: { works: false, why: "no", least: null, most: null },
    },
    peaks: {
      ...{ gflops: 9, gigabytes: 9, copies: { storage: 9, staged: 9 } },
      lowest: { gflops: 9, copies: { storage: 9, staged: 9 } },
    },
  };
}

Deno.test("bench compare: 1 where a row became slower, 2 where there is nothing to compare", async () => {
  const folder = await Deno.makeTempDir({ prefix: "compare-" });
  const write = async (name: string, value: unknown) => {
    const path = join(folder, name);
    await Deno.writeTextFile(path, JSON.stringify(value));
    return path;
  };
  const go = async (...args: string[]) => {
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args: ["run", "--no-prompt", "--cached-only", "--no-check", "--allow-read", "--allow-write"]
        .concat(join(ROOT, "scripts/bench_compare.ts"), args),
      cwd: ROOT,
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  };
  const old = await write("old.json", result());
  const same = await go(old, old);
  assert.deepEqual([same.code, same.err], [0, ""]);
  assert.match(same.out, /0 SLOW, 0 FAST, 0 AMBIGUOUS, 10 SAME; rows scatter by 0\.4%/);

  const fresh = await write("new.json", result((i) => i === 3 ? 1.06 : i === 5 ? 0.8 : 1));
  const table = join(folder, "t.md");
  const slow = await go(old, fresh, "--markdown", table);
  assert.equal(slow.code, 1);
  assert.match(slow.err, /^failed: 1 of 10 rows became slower, the most silu 3: 1\.060 times/);
  assert.match(slow.out, /^SLOW .*1\.060.*changed$/m);
  assert.match(slow.out, /^FAST .*0\.800.*changed$/m);
  assert.match(
    await Deno.readTextFile(table),
    /^\| SLOW \| silu \| 3 \| vec4 \| 4\.00 \| 4\.24 \|/m,
  );
  assert.equal((await go(old, fresh, "--fail-above", "5%")).code, 1);
  assert.equal((await go(old, fresh, "--fail-above=10%")).code, 0);
  const changed = await go(old, fresh, "--changed", "--fail-above", "10");
  assert.equal(changed.out.split("\n").filter((l) => / vec4 /.test(l)).length, 2);

  const elsewhere = await write("elsewhere.json", result(undefined, "another"));
  const refused = await go(old, elsewhere);
  assert.equal(refused.code, 2);
  assert.match(
    refused.err,
    /^error: the two results are of different machines \(adapter "one" and/,
  );
  assert.equal((await go(old, elsewhere, "--any-adapter")).code, 0);
  const { code, err } = await go(old, await write("bad.json", { ...result(), rows: [{}] }));
  assert.equal(code, 2);
  assert.match(
    err,
    /^error: Cannot read ".*bad\.json": it is no result of .\/run bench: \/rows\/0 /,
  );
  assert.equal((await go(old, fresh, "--fail-above", "lots")).code, 2);
  await Deno.remove(folder, { recursive: true });
});
