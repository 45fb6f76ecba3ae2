/** What cannot be done is one line in the user's terms and exit code 2, not a stack. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sizeIn } from "../../lib/cli/command.ts";
import { InputError } from "../../lib/errors.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";
import { fitting } from "../../lib/gpu/fits.ts";
import { trainingStep } from "../../lib/train/training_step.ts";
import { PRESETS, runConfig } from "../../lib/train/config.ts";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODEL = join(ROOT, "tests/fixtures/diffusers_tiny");

async function run(script: string, ...args: string[]) {
  const flags = ["--no-prompt", "--no-check", "--allow-read", "--allow-write", "--allow-env"];
  const { code, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      ...flags,
      "--allow-run",
      "--allow-sys",
      join(ROOT, `scripts/${script}.ts`),
      ...args,
    ],
    cwd: ROOT,
  }).output();
  return { code, error: new TextDecoder().decode(stderr) };
}

const CASES: readonly (readonly [script: string, args: readonly string[], message: RegExp])[] = [
  ["train", ["--resolution", "2"], /resolution 2×2: both sides must be multiples of 4/],
  ["train", ["--resolution", "4x4x4"], /'4x4x4' is invalid.*48x64/],
  ["train", ["--resolution", "1024", "--phantom-slices", "4", "--train-batch-size", "64"], /batch/],
  ["sample", ["--model", MODEL, "--resolution", "16384"], /'16384' is invalid.*1 … 4096/],
  ["sample", ["--model", MODEL, "--resolution", "8x8x8"], /'8x8x8' is invalid/],
  ["sample", ["--model", MODEL, "--count", "3000000"], /'3000000' is invalid.*1 to 100000/],
  ["evaluate", ["--generated", "a", "--real", "b", "--resolution", "8x8x8"], /'8x8x8' is invalid/],
  ["bench", ["--peers", "--python", "no-such-python"], /Cannot start PyTorch: .*no-such-python/],
];

for (const [script, args, message] of CASES) {
  Deno.test(`${script} ${args.join(" ").replace(ROOT, "")}: one line, exit code 2`, () =>
    withFolder(async (folder) => {
      const out = script === "bench" ? [] : ["--out", join(folder, "out")];
      const { code, error } = await run(script, ...args, ...out);
      assert.equal(code, 2, error);
      assert.match(error, message);
      assert.doesNotMatch(error, /^\s+at /m);
      const made = [...Deno.readDirSync(folder)].map(({ name }) => name);
      assert.deepEqual(made, [], "nothing is left of a run that could not begin");
    }));
}

Deno.test("what a device cannot hold is told with the flags to change; a bug keeps its stack", () => {
  const lay = (size: number, batch: number) => {
    const sized = { resolution: [size, size], train_batch_size: batch, phantom_slices: 8 };
    const config = runConfig({ ...PRESETS.demo, ...sized }, "test");
    return fitting(`--resolution ${size}`, () => trainingStep(config, DEFAULT_PROFILE));
  };
  assert.ok(lay(32, 8));
  for (const [size, batch] of [[512, 8], [1024, 64], [2048, 1]]) {
    assert.throws(() => lay(size, batch), {
      name: "InputError",
      message: new RegExp(`^--resolution ${size} is too large for this GPU: take smaller images`),
    });
  }
  const bug = () => fitting("x", () => (undefined as unknown as { y: number }).y);
  assert.throws(bug, (error) => error instanceof TypeError && !(error instanceof InputError));
});

Deno.test("sizes: one number, or height x width; nothing else", () => {
  const size = sizeIn(1, 4096);
  assert.deepEqual([size("64"), size("48x64"), size("48×64")], [[64, 64], [48, 64], [48, 64]]);
  for (const text of ["", "x", "4x", "4x4x4", "4,4", "-4", "4.5", "1e3", "0", "4097", "4x0"]) {
    assert.throws(() => size(text), text);
  }
});
