/** `deno task evaluate` and `deno task weights` as a user runs them. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openPhantomDataset } from "../../lib/data/dataset.ts";
import { writeNpy } from "../../lib/io/npy.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function run(script: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      `${ROOT}scripts/${script}.ts`,
      ...args,
    ],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

/** Phantom slices as .npy files; `change` is made to each HU value. */
async function folder(path: string, count: number, change: (hu: number) => number) {
  await Deno.mkdir(path);
  const { train } = openPhantomDataset({ seed: 4, count, size: 32 });
  for (const record of train) {
    const { ct, lungMask, noduleMask } = await record.load();
    const name = (kind: string) => `${path}/${record.id.replace("_slice_", `_${kind}_`)}.npy`;
    await writeNpy(name("slice"), [32, 32], ct.map(change));
    await writeNpy(name("lung_mask"), [32, 32], lungMask);
    await writeNpy(name("nodule_mask"), [32, 32], noduleMask);
  }
}

Deno.test("evaluate scores a folder against another, paired by name", async () => {
  const temporary = await Deno.makeTempDir();
  try {
    await folder(`${temporary}/real`, 8, (hu) => hu);
    await folder(`${temporary}/made`, 4, (hu) => hu + 50);
    const out = `${temporary}/report`;
    const folders = ["--generated", `${temporary}/made`, "--real", `${temporary}/real`];
    const flags = ["--classifier-steps", "0", "--no-weights", "--out", out];
    const { code, out: text, error } = await run("evaluate", ...folders, ...flags);
    assert.equal(code, 0, error);
    assert.match(text, /== made: 4 slices ==/);
    const report = JSON.parse(await Deno.readTextFile(`${out}/evaluation.json`));
    const of = (name: string) =>
      report.results[0].scores.find((score: { name: string }) => score.name === name);
    assert.equal(report.results[0].paired, true);
    // 50 HU of a window of 1500 is 1/15 of the range 2, where nothing is clipped.
    assert.ok(Math.abs(of("mse_in_mask").value - (1 / 15) ** 2) < 1e-3, of("mse_in_mask").value);
    assert.ok(Math.abs(of("hu_distance").value - 50) < 30, of("hu_distance").value);
    assert.equal(of("fid").value, null);
    const csv = await Deno.readTextFile(`${out}/metrics.csv`);
    assert.equal(csv.trimEnd().split("\n").length, 2);
    assert.match(await Deno.readTextFile(`${out}/evaluation.html`), /^<!doctype html>/);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
});

Deno.test("evaluate and weights say what is wrong and exit with 2", async () => {
  const nothing = await run("evaluate");
  assert.equal(nothing.code, 2);
  assert.match(nothing.error, /give either --run, or --generated with --real/);
  const missing = await run("evaluate", "--run", "/no/such/run");
  assert.equal(missing.code, 2);
  assert.match(missing.error, /no such file/);
  const unknown = await run("weights", "--only", "vgg");
  assert.equal(unknown.code, 2);
  assert.match(unknown.error, /no such network: vgg/);
  const wrong = await run("weights", "--from", `${ROOT}deno.json`);
  assert.equal(wrong.code, 2);
  assert.match(wrong.error, /Refused .*deno\.json/);
  const help = await run("evaluate", "--help");
  assert.equal(help.code, 0);
  assert.match(help.out, /Examples:/);
});
