/** report.html: whole, self-contained, and with what it promises. Charts. Provenance. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { openGpu } from "../../lib/gpu/device.ts";
import type { SliceRecord } from "../../lib/data/dataset.ts";
import { Canvas } from "../../lib/io/canvas.ts";
import { lineChart, ticks } from "../../lib/train/chart.ts";
import { commitOf } from "../../lib/train/provenance.ts";
import { MetricsFile } from "../../lib/train/metrics_file.ts";
import { Preview } from "../../lib/train/preview.ts";
import { trainRun } from "../../lib/train/run.ts";
import { writeReport } from "../../lib/train/report.ts";
import { Trainer } from "../../lib/train/trainer.ts";
import { assertOwnPolicy } from "../unit/page_policy.ts";
import { QUIET, tinyConfig, tinyData, withFolder } from "./tiny.ts";

Deno.test("a report needs nothing outside itself and shows curves, grids and settings", () =>
  withFolder(async (out) => {
    await Deno.mkdir(join(out, "samples"));
    for (let epoch = 1; epoch <= 120; epoch++) {
      const name = `epoch-${String(epoch).padStart(4, "0")}.png`;
      await Deno.writeFile(join(out, "samples", name), new Canvas(8, 8).toPng());
    }
    const config = tinyConfig();
    const { dataset, cache } = tinyData(config);
    const gpu = await openGpu();
    const trainer = await Trainer.create(gpu, config, dataset.train, cache);
    const rows = [
      { step: 10, loss: 1, learning_rate: 1e-3 },
      { step: 20, loss: 0.5, learning_rate: 5e-4 },
      { step: 20, loss: 0.5, psnr: 15, mse: 0.1 },
    ];
    const path = await writeReport({ out, trainer, dataset, data: `a<b>"&` }, rows);
    gpu.destroy();
    const html = await Deno.readTextFile(path);
    assertOwnPolicy(html);
    assert.doesNotMatch(html, /(src|href)="(?!data:)|url\(|@import|https?:/);
    assert.ok(html.includes("a&lt;b&gt;&quot;&amp;"), "texts are escaped");
    const figures = [...html.matchAll(/<figcaption>epoch (\d+)<\/figcaption>/g)].map((m) => m[1]);
    assert.ok(figures.length >= 30 && figures.length <= 50, `${figures.length} pictures`);
    assert.equal(figures.at(-1), "120");
    assert.equal(html.match(/<figure hidden>/g)?.length, figures.length - 1);
    assert.match(html, new RegExp(`type="range" min="0" max="${figures.length - 1}"`));
    for (const title of ["loss", "learning rate", "PSNR"]) assert.ok(html.includes(title), title);
    assert.ok(!html.includes("gradient norm"), "no chart of what was not measured");
    for (const text of ["batch_size", "unet.block_out_channels", gpu.name, "SHA-256"]) {
      assert.ok(html.includes(text), text);
    }
  }));

Deno.test("ticks are round and enclose what is shown", () => {
  assert.deepEqual(ticks(0.3, 9.2), [0, 5, 10]);
  assert.deepEqual(ticks(-1, 1), [-1, -0.5, 0, 0.5, 1]);
  for (const [low, high] of [[0.12, 0.147], [1e-7, 3e-7], [17, 2000]]) {
    const all = ticks(low, high);
    assert.ok(all[0] <= low && all.at(-1)! >= high && all.length <= 7, `${all}`);
  }
});

Deno.test("charts hold numbers of any kind", () => {
  const chart = (points: [number, number][], log = false) =>
    lineChart({ title: "<t>", points, xLabel: "x", log });
  for (const log of [false, true]) {
    for (
      const points of [[], [[1, 2]], [[1, NaN], [2, Infinity], [3, 0]], [[1, 5], [2, 5]]] as [
        number,
        number,
      ][][]
    ) assert.doesNotMatch(chart(points, log), /NaN|Infinity|undefined|<t>/);
  }
  const long = chart(Array.from({ length: 100_000 }, (_, i) => [i, Math.sin(i)]));
  assert.ok(long.length < 60_000, `${long.length}`);
});

Deno.test("the commit is read from .git, loose or packed, or not at all", () =>
  withFolder(async (root) => {
    assert.equal(await commitOf(root), undefined);
    const hash = "0123456789abcdef0123456789abcdef01234567";
    await Deno.mkdir(join(root, ".git", "refs", "heads"), { recursive: true });
    await Deno.writeTextFile(join(root, ".git", "HEAD"), "ref: refs/heads/main\n");
    await Deno.writeTextFile(
      join(root, ".git", "packed-refs"),
      `# pack-refs\n${hash} refs/heads/main\n`,
    );
    assert.equal(await commitOf(root), hash);
    const loose = hash.toUpperCase();
    await Deno.writeTextFile(join(root, ".git", "refs", "heads", "main"), `${loose}\n`);
    assert.equal(await commitOf(root), loose);
    await Deno.writeTextFile(join(root, ".git", "HEAD"), `${hash}\n`);
    assert.equal(await commitOf(root), hash);
  }));

Deno.test("without a validation split, log, metrics.csv and report say that scores are on training slices", () =>
  withFolder(async (folder) => {
    const gpu = await openGpu();
    const config = tinyConfig({ max_train_steps: 2 });
    for (const held of [true, false]) {
      const out = join(folder, String(held));
      const { dataset, cache } = tinyData(config);
      const used = held ? dataset : { ...dataset, val: [] };
      const trainer = await Trainer.create(gpu, config, used.train, cache);
      const notes: string[] = [];
      await trainRun(trainer, used, cache, out, { ...QUIET, onNote: (text) => notes.push(text) });
      const [columns, ...lines] = (await Deno.readTextFile(join(out, "metrics.csv"))).trim()
        .split("\n").map((line) => line.split(","));
      const scored = lines.filter((fields) => fields[columns.indexOf("psnr")]);
      assert.ok(scored.length);
      for (const fields of scored) {
        assert.equal(fields[columns.indexOf("scored_on")], held ? "val" : "train");
      }
      const { rows } = await MetricsFile.open(out, trainer.step);
      assert.equal(rows.at(-1)!.scored_on, held ? "val" : "train", "read back");
      const path = await writeReport({ out, trainer, dataset: used, data: undefined }, rows);
      const html = await Deno.readTextFile(path);
      assert.equal(html.includes("best are on training slices"), !held);
      assert.equal(/PSNR \S+ dB on training slices/.test(notes.join("\n")), !held);
    }
    gpu.destroy();
  }));

Deno.test("sample grids pass over slices whose lungs are lost, and are refused where all are", async () => {
  const gpu = await openGpu();
  const config = tinyConfig({ max_train_steps: 1 });
  const { dataset, cache } = tinyData(config);
  const lost = (record: SliceRecord): SliceRecord => ({
    ...record,
    load: async () => {
      const slice = await record.load();
      return { ...slice, lungMask: new Uint8Array(slice.lungMask.length) };
    },
  });
  const trainer = await Trainer.create(gpu, config, dataset.train, cache);
  for (const label of [0, 1]) {
    const [first, ...others] = dataset.train.filter((r) => r.label === label);
    const rest = dataset.train.filter((r) => r.label !== label);
    const some = await Preview.create(trainer, [...rest, lost(first), ...others], cache);
    for (const slice of [...some.positives, ...some.negatives]) {
      assert.ok(slice.lungMask.includes(1));
    }
    await assert.rejects(
      Preview.create(trainer, [...rest, lost(first), ...others.map(lost)], cache),
      { name: "InputError", message: /no slice .* a nodule has a lung left at 8×8/ },
    );
  }
  gpu.destroy();
});
