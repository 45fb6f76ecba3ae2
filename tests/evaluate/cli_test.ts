/** `deno task evaluate` and `deno task weights` as a user runs them. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openPhantomDataset } from "../../lib/data/dataset.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";
import { tinyConfig } from "../train/tiny.ts";
import { assertOwnPolicy } from "../unit/page_policy.ts";

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
async function folderOf(path: string, count: number, change: (hu: number) => number) {
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

/** What slices 50 HU too bright score, in the window, where what leaves it is clipped. */
async function shiftedBy50() {
  const { train } = openPhantomDataset({ seed: 4, count: 4, size: 32 });
  const errors: number[] = [], made: number[] = [], real: number[] = [];
  const clip = (hu: number) => Math.min(150, Math.max(-1350, hu));
  for (const record of train) {
    const { ct, lungMask } = await record.load();
    const inside = [...ct].filter((_, i) => lungMask[i]);
    const squares = inside.map((hu) => ((clip(hu + 50) - clip(hu)) / 750) ** 2);
    errors.push(squares.reduce((a, b) => a + b, 0) / squares.length);
    made.push(...inside.map((hu) => clip(hu + 50)));
    real.push(...inside.map(clip));
  }
  // Of as many values on both sides: the mean distance between those of one rank.
  const [a, b] = [made, real].map((values) => values.sort((x, y) => x - y));
  return {
    mse_in_mask: errors.reduce((x, y) => x + y, 0) / errors.length,
    hu_distance: a.reduce((sum, hu, i) => sum + Math.abs(hu - b[i]), 0) / a.length,
  };
}

Deno.test("evaluate scores a folder against another, paired by name", async () => {
  const temporary = await Deno.makeTempDir();
  try {
    await folderOf(`${temporary}/real`, 8, (hu) => hu);
    await folderOf(`${temporary}/made`, 4, (hu) => hu + 50);
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
    const expected = await shiftedBy50();
    for (const name of ["mse_in_mask", "hu_distance"] as const) {
      const { value } = of(name);
      assert.ok(Math.abs(value / expected[name] - 1) < 1e-4, `${name} ${value}, ${expected[name]}`);
    }
    assert.equal(of("fid").value, null);
    // Under other names, but with what sample writes beside its slices, they are paired as well.
    const lines = ["slice,class,seed,noise,lung_mask_of"];
    for (const { name } of [...Deno.readDirSync(`${temporary}/made`)]) {
      const other = name.replace("PHANTOM", "GEN");
      await Deno.rename(`${temporary}/made/${name}`, `${temporary}/made/${other}`);
      if (!/_slice_/.test(name)) continue;
      lines.push([other, "1,0,0", name].join().replaceAll(".npy", ""));
    }
    const blind = await run("evaluate", ...folders, ...flags);
    assert.match(
      blind.out,
      /not computed: note 1: it is not known of which[^]*PSNR inside the mask ↑ +not computed: see note 1/,
    );
    await Deno.writeTextFile(`${temporary}/made/images.csv`, lines.join("\n") + "\n");
    const again = await run("evaluate", ...folders, ...flags);
    assert.equal(again.code, 0, again.error);
    const text2 = (all: string) => all.slice(all.indexOf("== made"), all.indexOf("Is it copying"));
    assert.equal(text2(again.out), text2(text));

    // The segmenter closes gaps and drops specks by mm: with other pixels it sees other lungs.
    const dice = async (...more: string[]) => {
      const { code, error } = await run("evaluate", ...folders, ...flags, ...more);
      assert.equal(code, 0, error);
      const { results: [{ scores }] } = JSON.parse(
        await Deno.readTextFile(`${out}/evaluation.json`),
      );
      return scores.find((s: { name: string }) => s.name === "mask_dice").value;
    };
    const plain = await dice();
    assert.equal(await dice("--pixel-spacing", String(360 / 32)), plain, "a body 360 mm wide");
    assert.notEqual(await dice("--pixel-spacing", "0.5"), plain);

    const csv = await Deno.readTextFile(`${out}/metrics.csv`);
    assert.equal(csv.trimEnd().split("\n").length, 2);
    const page = await Deno.readTextFile(`${out}/evaluation.html`);
    assert.match(page, /^<!doctype html>/);
    assertOwnPolicy(page);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
});

Deno.test("evaluate: shards together are the unsharded run, byte for byte", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const config = `${folder}/tiny.json`, model = `${folder}/run`;
    const tiny = tinyConfig({ phantom_slices: 40, max_train_steps: 4, checkpointing_steps: 2 });
    await Deno.writeTextFile(config, JSON.stringify(tiny));
    const trained = await run("train", "--config", config, "--out", model);
    assert.equal(trained.code, 0, trained.error);
    const evaluate = async (out: string, ...more: string[]) => {
      const flags = ["--count", "0", "--steps", "3", "--cfg", "1,2", "--batch", "3"];
      const rest = ["--classifier-steps", "3", "--no-weights", "--out", `${folder}/${out}`];
      const done = await run("evaluate", "--run", model, ...flags, ...rest, ...more);
      assert.equal(done.code, 0, done.error);
      return done;
    };
    const files = ["metrics.csv", "evaluation.json", "evaluation.html"];
    const read = (out: string) =>
      Promise.all(files.map((name) => Deno.readFile(`${folder}/${out}/${name}`)));
    const whole = await evaluate("whole");
    assert.match(whole.out, /== guidance 2: 5 slices ==/);
    // Of five slices the sixth shard has none, which is no error.
    for (const i of [0, 5, 4, 2, 1, 3]) {
      const { out } = await evaluate("parts", "--shard", `${i}/6`);
      assert.match(out, new RegExp(`shard ${i}/6: ${i < 5 ? 2 : 0} slices generated`));
    }
    const joined = await evaluate("parts");
    assert.match(joined.error, /10 slices had been generated before/);
    assert.doesNotMatch(joined.error, /sampling/);
    assert.deepEqual(await read("parts"), await read("whole"));
    assert.deepEqual(
      [...Deno.readDirSync(`${folder}/parts`)].map(({ name }) => name).sort(),
      [".lock", ...files].sort(),
      "the slices kept for the report are gone",
    );

    // One shard is missing: the last call makes what it should have made.
    await evaluate("some", "--shard", "1/2");
    await evaluate("some");
    assert.deepEqual(await read("some"), await read("whole"));

    // Another checkpoint has other slices: none of the newest's are taken for its own.
    await evaluate("early", "--shard", "0/2");
    const early = await evaluate("early", "--checkpoint", "2");
    assert.doesNotMatch(early.error, /had been generated/);
    assert.notDeepEqual(await read("early"), await read("whole"));
    // Compared with other slices, it is still its own training slices that it may have copied.
    await folderOf(`${folder}/data`, 6, (hu) => hu);
    await evaluate("other", "--data", `${folder}/data`);
    const { about } = JSON.parse(await Deno.readTextFile(`${folder}/other/evaluation.json`));
    assert.match(about.Data, /data, train split: 6 slices$/);
    assert.equal(about["Training slices looked at"], "40 of 40");

    const missing = await run("evaluate", "--run", model, "--checkpoint", "3");
    assert.equal(missing.code, 2);
    assert.match(missing.error, /no checkpoint of step 3; there are 2, 4/);
    const wrong = await run("evaluate", "--run", model, "--shard", "2/2");
    assert.equal(wrong.code, 2);
    assert.match(wrong.error, /--shard 2\/2: i\/n needed/);
  } finally {
    await Deno.remove(folder, { recursive: true });
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
