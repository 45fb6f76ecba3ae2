/** Flags that would change nothing beside the others are refused by name, in every task. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODEL = join(ROOT, "tests/fixtures/diffusers_tiny");

async function run(script: string, ...args: string[]) {
  const flags = ["--no-prompt", "--no-check", "--allow-read", "--allow-write", "--allow-env"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", ...flags, join(ROOT, `scripts/${script}.ts`), ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

/** Task, what makes the flags idle, and the flags. */
const IDLE: readonly (readonly [task: string, beside: string, flags: readonly string[]])[] = [
  ["evaluate", "--run RUN --placement --out OUT", [
    ...["--count 4", "--pixel-spacing 1", "--classifier-steps 3", "--no-weights"],
  ]],
  ["evaluate", "--run RUN --out OUT", [
    ...["--nodules 8", "--diameter 4-8", "--detector-steps 3", "--resolution 8"],
  ]],
  ["evaluate", "--generated IN --real IN --out OUT", [
    ...["--data IN", "--cfg 1", "--steps 3", "--scheduler ddpm", "--no-ema", "--checkpoint best"],
  ]],
  ["sample", "--model MODEL --out OUT", [
    ...["--split val", "--class-steps 3", "--resample 2", "--lung-mask m.npy", "--field-mm 300"],
    ...["--diameter 8-9", "--class-over steps", "--checkpoint best", "--no-ema"],
  ]],
  ["sample", "--model MODEL --cfg 1 --out OUT", [
    ...["--cfg-from 1", "--cfg-to 1", "--guidance-rescale 0.5", "--two-passes"],
  ]],
  ["sample", "--model MODEL --scheduler ddpm --out OUT", ["--eta 0.5"]],
  ["prepare", "--dicom IN --out OUT", ["--nodule-label 1", "--lung-label 1", "--mask-by-index"]],
  ["prepare", "--nifti IN --out OUT", [
    ...["--consensus 0.7", "--min-readers 2", "--tolerance 1", "--nodule-roi A", "--lung-roi A"],
    "--derived",
  ]],
  ["prepare", "--luna16 IN --out OUT", ["--nodule-label 1", "--consensus 0.7"]],
  ["phantom", "--out OUT", ["--slices 9", "--detail 64"]],
  ["audit", "--update", ["--step train", "--preset seed", "--json x", "--check", "--verify-lock"]],
  ["audit", "--verify-lock", ["--html x", "--device gpu", "--locked"]],
  ["audit", "--check", ["--device gpu"]],
  ["audit", "--step train", ["--locked"]],
  ["bench", "--features", [
    ...["--kernels", "--model", "--peers", "--batch 4", "--size 64", "--budget 9", "--exact"],
    ...["--untuned", "--html x", "--precision f32", "--no-compile", "--batches 1", "--sizes 32"],
  ]],
  ["bench", "--kernels", ["--batches 1", "--sizes 32", "--python python3", "--no-compile"]],
  ["bench", "--model", ["--batch 4", "--size 64", "--precision f16"]],
  ["tune", "--list", ["--preset demo", "--batch 4", "--size 64", "--budget 9", "--again"]],
  ["browser", "--build OUT", ["--port 9", "--checkpoint best", "--no-ema"]],
  ["weights", "--from x", ["--only lpips", "--list"]],
  ["verify", "x.safetensors --fast", ["--exact"]],
];

for (const [task, beside, flags] of IDLE) {
  Deno.test(`${task} ${beside}: idle flags are refused by name`, () =>
    withFolder(async (folder) => {
      for (const name of ["IN", "RUN"]) await Deno.mkdir(join(folder, name));
      const words = (text: string) =>
        text.split(" ").map((w) =>
          w === "MODEL" ? MODEL : ["IN", "OUT", "RUN"].includes(w) ? join(folder, w) : w
        );
      const outcomes = await Promise.all(
        flags.map(async (flag) => ({ flag, ...await run(task, ...words(beside), ...words(flag)) })),
      );
      for (const { flag, code, error } of outcomes) {
        assert.equal(code, 2, `${flag}: ${error}`);
        const [first] = error.split("\n").filter((line) => line.startsWith("error:"));
        assert.ok(first?.includes(flag.split(" ")[0]), `${flag}: ${error}`);
      }
      const made = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
      assert.deepEqual(made, ["IN", "RUN"]);
    }));
}

const TASKS = [
  ...["sample", "samplers", "evaluate", "prepare", "phantom", "browser", "audit", "bench", "tune"],
  ...["verify", "weights", "share", "reproduce"],
];

/** The script and those of its folder that it imports. */
async function sourceOf(script: string): Promise<string> {
  const text = await Deno.readTextFile(join(ROOT, `scripts/${script}.ts`));
  const own = [...text.matchAll(/from "\.\/(\w+)\.ts"/g)].map(([, name]) => sourceOf(name));
  return [text, ...await Promise.all(own)].join("\n");
}

for (const task of TASKS) {
  Deno.test(`${task}: every flag of --help is read by the program`, async () => {
    const { code, out, error } = await run(task, "--help");
    assert.equal(code, 0, error);
    const flags = [...out.matchAll(/^ {2,}(?:-\w, )?--(no-)?([a-z0-9-]+)/gm)].map(([, , name]) =>
      name
    );
    assert.ok(flags.length > 1, out);
    // Some are handed on with all the others to what opens a model.
    const opened = await Deno.readTextFile(join(ROOT, "lib/diffusion/model_folder.ts"));
    const source = await sourceOf(task) + (task === "samplers" ? opened : "");
    const unread = flags.filter((flag) => {
      if (flag === "help") return false;
      const name = flag.replace(/-(\w)/g, (_, c) => c.toUpperCase());
      if (task === "prepare" && ["dicom", "nifti", "luna16"].includes(name)) {
        return !source.includes("o[kind]");
      }
      // As a property, or taken apart by name.
      return !new RegExp(`\\.${name}\\b|[{,]\\s*${name}\\b[^"]*?[},]`).test(source);
    });
    assert.deepEqual(unread, []);
  });
}
