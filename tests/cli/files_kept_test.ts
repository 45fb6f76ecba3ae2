/** No task removes, overwrites or mixes up files of the user's. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../../lib/errors.ts";
import { checkOutputFolder, LOCK_NAME, lockFolder } from "../../lib/io/output_folder.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";
import { walk } from "../../lib/io/walk.ts";
import { abandonRun, clearRun, requireRunFolder } from "../../lib/train/run_folder.ts";
import { tinyConfig, withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function run(script: string, ...args: string[]) {
  const flags = ["--cached-only", "--no-prompt", "--no-check", "--allow-read", "--allow-write"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", ...flags, "--allow-env=INIT_CWD", join(ROOT, "scripts", `${script}.ts`), ...args],
    cwd: ROOT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

async function put(folder: string, ...names: string[]) {
  for (const name of names) {
    await Deno.mkdir(join(folder, name, ".."), { recursive: true });
    await Deno.writeTextFile(join(folder, name), `mine: ${name}`);
  }
}

const tree = (folder: string) => [...walk(folder)].map((p) => p.slice(folder.length + 1)).sort();
const config = () => JSON.stringify({ data: null, ...tinyConfig() });
const MINE = ["thesis.txt", "figures/1.txt", "checkpoints/notes.txt", "samples/mine.png"];
const RUN = [
  "metrics.csv",
  "provenance.json",
  "report.html",
  "checkpoints/step-00000012/state.json",
  "checkpoints/best.json",
  "samples/epoch-0001.png",
  "private/slices.pack",
];

Deno.test("--overwrite removes what a run wrote, and nothing of the user's", () =>
  withFolder(async (out) => {
    await put(out, ...MINE, ...RUN);
    await Deno.writeTextFile(join(out, "config.json"), config());
    assert.deepEqual(await clearRun(out), ["checkpoints", "figures", "samples", "thesis.txt"]);
    assert.deepEqual(tree(out), [...MINE].sort());
    for (const name of MINE) {
      assert.equal(await Deno.readTextFile(join(out, name)), `mine: ${name}`);
    }
    // Slices just packed for the run that begins stay.
    await put(out, "private/slices.pack");
    await Deno.writeTextFile(join(out, "config.json"), config());
    await clearRun(out, true);
    assert.ok(tree(out).includes("private/slices.pack"));
  }));

Deno.test("a folder that is no run's is not cleared, nor written over, with or without --overwrite", () =>
  withFolder(async (out) => {
    await put(out, "thesis.txt", "config.json", "checkpoints/step-00000001/state.json");
    const before = tree(out);
    await assert.rejects(clearRun(out), /holds config.json, which a run would write over/);
    for (const more of [[], ["--overwrite"]]) {
      const { code, error } = await run("train", "--out", out, "--steps", "1", ...more);
      assert.equal(code, 2, error);
      assert.match(error, /^error: .*holds config\.json, which a run would write over/m);
    }
    assert.deepEqual(tree(out), before);
    await Deno.remove(join(out, "config.json"));
    await assert.rejects(requireRunFolder(out), /checkpoints\/step-00000001/);
    await Deno.remove(join(out, "checkpoints"), { recursive: true });
    await requireRunFolder(out); // a thesis alone is in nobody's way
    await put(out, "metrics.csv");
    await assert.rejects(requireRunFolder(out), /metrics\.csv/);
  }));

Deno.test("a run that could not begin takes its new folder away, but never one with a file in it", () =>
  withFolder(async (root) => {
    const out = join(root, "run");
    await put(out, "private/slices.pack", LOCK_NAME);
    await abandonRun(out);
    assert.deepEqual([...Deno.readDirSync(root)], []);
    await put(out, "private/slices.pack", LOCK_NAME, "thesis.txt");
    await abandonRun(out);
    assert.deepEqual(tree(out), ["thesis.txt"]);
  }));

Deno.test("an output folder that is, holds or lies in an input is refused, through links too", () =>
  withFolder(async (root) => {
    const data = join(root, "data");
    await Deno.mkdir(join(data, "inner"), { recursive: true });
    await new Deno.Command("sh", { args: ["-c", 'ln -s data "$1/link"', "sh", root] }).output();
    const refused = (out: string, how: string) =>
      assert.throws(
        () => checkOutputFolder("--out", out, { "--data": data, "--model": undefined }),
        {
          name: "InputError",
          message: `--out ${out} ${how} --data ${data}: choose a folder apart from what is read`,
        },
      );
    refused(data, "is");
    refused(`${data}/`, "is");
    refused(join(root, "link"), "is");
    refused(root, "holds");
    refused("/", "holds");
    refused(join(data, "inner"), "lies in");
    refused(join(data, "new/deeper"), "lies in");
    refused(join(root, "link/new"), "lies in");
    for (const out of [`${data}-2`, join(root, "out"), join(root, "dat"), join(data, "../x")]) {
      checkOutputFolder("--out", out, { "--data": data });
    }
    const throughLink = { "--data": join(root, "link") };
    assert.throws(() => checkOutputFolder("--out", data, throughLink), InputError);
  }));

Deno.test("links in an output folder are not followed", () =>
  withFolder(async (root) => {
    const out = join(root, "out"), away = join(root, "away");
    for (const folder of [out, away]) await Deno.mkdir(folder);
    const link = ["-c", 'ln -s "$1" "$2"', "sh", away, join(out, "samples")];
    await new Deno.Command("sh", { args: link }).output();
    assert.throws(() => checkOutputFolder("--out", out, {}), /samples is a link.*not followed/);
  }));

Deno.test("every task that writes a folder refuses one with its input in it, before it writes", () =>
  withFolder(async (root) => {
    const data = join(root, "ct");
    await put(data, "P1_slice_1.npy");
    const tasks: [string, ...string[]][] = [
      ["train", "--data", data, "--out", data],
      ["train", "--data", data, "--out", root, "--overwrite"],
      ["train", "--data", data, "--out", join(data, "run")],
      ["prepare", "--dicom", data, "--out", data],
      ["prepare", "--nifti", data, "--out", join(data, "prepared")],
      ["prepare", "--dicom", root, "--lung-masks", data, "--out", join(data, "x")],
      ["sample", "--run", join(root, "none"), "--data", data, "--out", data],
      ["sample", "--model", data, "--out", join(data, "samples")],
      ["sample", "--run", "x", "--inpaint", `${data}/P1_slice_1.npy`, "--region", "1,1,1"]
        .concat(["--out", data]) as [string, ...string[]],
      ["evaluate", "--generated", data, "--real", root, "--out", join(data, "evaluation")],
      ["browser", "--model", data, "--build", data],
      ["share", data, "--out", join(data, "shared")],
    ];
    for (const [script, ...args] of tasks) {
      const { code, error } = await run(script, ...args);
      assert.equal(code, 2, `${script} ${args.join(" ")}: ${error}`);
      assert.match(error, /^error: --(out|build) .+ (is|holds|lies in) /, `${script}: ${error}`);
    }
    assert.deepEqual(tree(root), ["ct/P1_slice_1.npy"]);
  }));

Deno.test("one writer a folder: a second is refused, shards share, and a killed one leaves no lock", () =>
  withFolder(async (root) => {
    const out = join(root, "run");
    const hold = `
      import { lockFolder } from ${
      JSON.stringify(new URL("../../lib/io/output_folder.ts", import.meta.url))
    };
      lockFolder(Deno.args[0], Deno.args[1] === "shared");
      console.log("held");
      setInterval(() => {}, 1000);`;
    const program = join(root, "hold.ts");
    await Deno.writeTextFile(program, hold);
    const start = async (how: string) => {
      const child = new Deno.Command("deno", {
        args: ["run", "--no-check", "--allow-read", "--allow-write", program, out, how],
        stdout: "piped",
      }).spawn();
      const reader = child.stdout.getReader();
      await reader.read();
      return async () => {
        child.kill("SIGKILL");
        await reader.cancel();
        await child.status;
      };
    };
    const kill = await start("alone");
    assert.throws(() => lockFolder(out), /being written by another process \(process \d+, 20/);
    assert.throws(() => lockFolder(out, true), InputError);
    const { code, error } = await run("train", "--out", out, "--steps", "1");
    assert.equal(code, 2, error);
    assert.match(error, /^error: .*run is being written by another process/m);
    await kill();
    lockFolder(out)[Symbol.dispose]();
    const killShard = await start("shared");
    lockFolder(out, true)[Symbol.dispose]();
    assert.throws(() => lockFolder(out), InputError);
    await killShard();
    lockFolder(out)[Symbol.dispose]();
    // A task that wrote nothing takes its new folder away; one with anything in it stays.
    const fresh = join(root, "fresh");
    lockFolder(fresh)[Symbol.dispose]();
    await assert.rejects(Deno.stat(fresh), Deno.errors.NotFound);
    const used = lockFolder(fresh);
    await put(fresh, "a");
    used[Symbol.dispose]();
    assert.deepEqual(tree(fresh), ["a"]);
  }));

const TWICE: [string, ...string[]][] = [
  ["train", "--seed", "1", "--seed=2"],
  ["train", "--resume", "--resume"],
  ["sample", "--run", "a", "--cfg", "1", "--cfg", "2"],
  ["samplers", "--run", "a", "--run", "b"],
  ["evaluate", "--run", "a", "--count", "1", "--count", "1"],
  ["prepare", "--dicom", "a", "--dicom", "b", "--out", "c"],
  ["phantom", "--out", "a", "--out", "b"],
  ["browser", "--run", "a", "--run", "b"],
  ["verify", "--exact", "--exact", "a"],
  ["audit", "--step", "train", "--step", "sample"],
  ["share", "a", "--out", "b", "--out", "c"],
  ["tune", "--batch", "1", "--batch", "2"],
  ["bench", "--budget", "1", "--budget", "2"],
];

Deno.test("an option given twice is refused by name in every task: the first is not dropped", async () => {
  for (const [script, ...args] of TWICE) {
    const { code, error } = await run(script, ...args);
    assert.equal(code, 2, `${script} ${args.join(" ")}: ${error}`);
    assert.match(error, /^error: --\w[\w-]* is given twice: give one of them$/m, script);
  }
});

Deno.test("a value that looks like an option is no second option", async () => {
  const { error } = await run("sample", "--run", "none", "--class-from", "--seed", "--seed", "3");
  assert.doesNotMatch(error, /twice/);
});

Deno.test("slices of an earlier sample run are not scored with those of its images.csv", () =>
  withFolder(async (root) => {
    const slice = async (folder: string, patient: string) => {
      await Deno.mkdir(folder, { recursive: true });
      const hu = Float32Array.from({ length: 1024 }, (_, i) => i % 3 ? -900 : 40);
      await writeNpy(`${folder}/${patient}_slice_1.npy`, [32, 32], hu);
      await writeNpy(`${folder}/${patient}_lung_mask_1.npy`, [32, 32], hu.map(() => 1));
    };
    const [made, real] = [join(root, "made"), join(root, "real")];
    for (const name of ["GEN1", "GEN2"]) await slice(made, name);
    await slice(real, "P1");
    const list = "slice,class,seed,noise,lung_mask_of\nGEN1_slice_1,1,0,0,P1_slice_1\n";
    await Deno.writeTextFile(join(made, "images.csv"), list);
    const out = join(root, "out");
    const { code, error } = await run(
      "evaluate",
      "--generated",
      made,
      "--real",
      real,
      "--out",
      out,
    );
    assert.equal(code, 2, error);
    assert.match(error, /1 of 2 slices are not in its images.csv, such as GEN2_slice_1/);
  }));
