/** What of patients a run keeps on disk is its owner's alone, and nothing half-written stays. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { removeStrays, writeFileAtomic } from "../../lib/io/atomic.ts";
import { removeLeftovers } from "../../lib/train/checkpoint.ts";
import { packTrainingData } from "../../scripts/train_options.ts";
import { tinyConfig, tinyData, withFolder } from "./tiny.ts";

const STRAY = ".0a1b2c3d-0000-4000-8000-0123456789ab.tmp";
const mode = async (path: string) => (await Deno.stat(path)).mode! & 0o777;
const names = async (folder: string) =>
  (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();

function request(out: string) {
  const config = tinyConfig({ augment_flip: true }); // augmented slices are packed
  return { dataset: tinyData(config).dataset, request: { config, out, data: undefined } };
}

Deno.test("packed slices of patients: folder 0700, file 0600, under any umask; strays are gone", () =>
  withFolder(async (root) => {
    const out = join(root, "run"), folder = join(out, "private");
    await Deno.mkdir(folder, { recursive: true, mode: 0o755 });
    await Deno.writeTextFile(join(folder, STRAY), "slices of a run that was killed");
    await Deno.writeTextFile(join(out, "slices.pack"), "of an earlier version");
    const { dataset, request: asked } = request(out);
    const path = await packTrainingData(asked, dataset, () => {});
    assert.equal(path, join(folder, "slices.pack"));
    assert.deepEqual(await names(folder), ["slices.pack"]);
    assert.deepEqual(await names(out), ["private"]);
    assert.deepEqual([await mode(folder), await mode(path)], [0o700, 0o600]);
  }));

Deno.test("what a kill left half-written is removed, wherever a run writes; nothing else is", () =>
  withFolder(async (out) => {
    const mine = [".note.tmp", "a.tmp", `x${STRAY}`];
    for (const folder of ["", "checkpoints", "samples"]) {
      await Deno.mkdir(join(out, folder), { recursive: true });
      for (const name of [STRAY, ...mine]) await Deno.writeTextFile(join(out, folder, name), "");
    }
    await removeLeftovers(out);
    for (const folder of ["checkpoints", "samples"]) {
      assert.deepEqual(await names(join(out, folder)), mine);
    }
    assert.deepEqual(await names(out), [...mine, "checkpoints", "samples"].sort());
    await removeStrays(join(out, "not there"));
    await writeFileAtomic(join(out, "whole"), "x");
    assert.ok(!(await names(out)).some((name) => /^\.[\da-f-]{36}\.tmp$/.test(name)));
  }));
