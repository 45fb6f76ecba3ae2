/** No flag of `train` is ignored: it changes what a run does, or is refused by name, in every mode. */

import assert from "node:assert/strict";
import { join } from "node:path";
import type { Option } from "commander";
import { RUN_RULES } from "../../lib/train/config.ts";
import { CHANGEABLE } from "../../lib/train/resume.ts";
import { parseTrainRequest, program } from "../../scripts/train_options.ts";
import { tinyConfig, withFolder } from "../train/tiny.ts";

/** A value of each flag that is neither a preset's nor the saved run's. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  "--preset": ["seed"],
  "--steps": ["77"],
  "--epochs": ["5"],
  "--resolution": ["16x24"],
  "--channels": ["32,64"],
  "--ddpm-num-steps": ["600"],
  "--lr-scheduler": ["linear"],
  "--ddpm-beta-schedule": ["scaled_linear"],
  "--beta-start": ["0.0002"],
  "--beta-end": ["0.03"],
  "--prediction-type": ["sample"],
  "--condition": ["nodule-mask"],
  "--best-metric": ["mse"],
  "--crop": ["16", "--spacing", "2"],
  "--spacing": ["2", "--crop", "16"],
  "--crops-per-slice": ["7", "--spacing", "2", "--crop", "16"],
  "--field-mm": ["300", "--spacing", "2", "--crop", "16"],
  "--precision": ["f16"],
  "--learning-rate": ["0.0123"],
  "--max-grad-norm": ["0.75"],
  "--snr-gamma": ["4"],
  "--label-dropout": ["0.15"],
  "--adam-beta1": ["0.8"],
  "--adam-beta2": ["0.98"],
  "--adam-weight-decay": ["0.02"],
  "--adam-epsilon": ["1e-7"],
  "--ema-decay": ["0.9"],
  "--augment-shift": ["0.2"],
};
const MODES: Readonly<Record<string, (folder: string) => string[]>> = {
  "fresh": (folder) => ["--out", join(folder, "new")],
  "of the other preset": (folder) => ["--preset", "seed", "--out", join(folder, "new")],
  "with --config": (folder) => ["--config", join(folder, "own.json"), "--out", join(folder, "new")],
  "with --data": (folder) => ["--data", join(folder, "data"), "--out", join(folder, "new")],
  "resumed": (folder) => ["--resume", "--out", join(folder, "run")],
  "resumed with --config": (folder) => [
    ...["--resume", "--config", join(folder, "own.json"), "--out", join(folder, "run")],
  ],
};

function valueOf(option: Option, folder: string): readonly string[] {
  const flag = option.long!;
  if (VALUES[flag]) return VALUES[flag];
  if (!option.required) return [];
  if (flag === "--data") return [join(folder, "other")];
  if (flag === "--out") return [join(folder, "elsewhere")];
  if (flag === "--config") return [join(folder, "own2.json")];
  return ["13"];
}

/** A saved run, two configurations, two folders. */
async function prepare(folder: string) {
  for (const name of ["run", "data", "other", "elsewhere"]) await Deno.mkdir(join(folder, name));
  const saved = { data: join(folder, "data"), ...tinyConfig() };
  const put = (name: string, value: unknown) =>
    Deno.writeTextFile(join(folder, name), JSON.stringify(value));
  await put("run/config.json", saved);
  await put("elsewhere/config.json", { ...saved, seed: 1234 });
  await put("own.json", { learning_rate: 0.03 });
  await put("own2.json", { learning_rate: 0.04 });
}

/** What a command line comes to, or the message of its refusal. */
async function outcome(args: readonly string[]): Promise<{ said?: string; request?: string }> {
  try {
    return { request: JSON.stringify(await parseTrainRequest(args)) };
  } catch (error) {
    assert.equal((error as Error).name, "InputError", String((error as Error).stack));
    return { said: (error as Error).message };
  }
}

for (const [mode, argsOf] of Object.entries(MODES)) {
  Deno.test(`every flag of train is obeyed or refused by name: ${mode}`, () =>
    withFolder(async (folder) => {
      await prepare(folder);
      const base = argsOf(folder);
      const { request: plain, said } = await outcome(base);
      assert.ok(plain, said);
      const ignored: string[] = [];
      for (const option of program.options) {
        const flag = option.long!;
        if (base.includes(flag) && flag !== "--out") continue; // twice is refused by all tasks
        const others = base.filter((word, i) =>
          flag !== "--out" || (word !== "--out" && base[i - 1] !== "--out")
        );
        const { request, said } = await outcome([...others, flag, ...valueOf(option, folder)]);
        const isEqual = request === plain && !isSame(flag, valueOf(option, folder), plain);
        if (isEqual || (said !== undefined && !said.includes(flag))) {
          ignored.push(`${flag}: ${said ?? "changes nothing"}`);
        }
      }
      assert.deepEqual(ignored, []);
    }));
}

/** A flag that says what the request says already. */
function isSame(flag: string, [value]: readonly string[], request: string): boolean {
  const now = JSON.parse(request).config[flag.slice(2).replaceAll("-", "_")];
  return now === true || String(now) === value;
}

Deno.test("--resume: what changes the run is refused by name, the optimizer's settings are taken", () =>
  withFolder(async (folder) => {
    await prepare(folder);
    const resume = ["--resume", "--out", join(folder, "run")];
    for (const key of Object.keys(RUN_RULES) as (keyof typeof RUN_RULES)[]) {
      if (["max_train_steps", "num_epochs"].includes(key)) continue;
      const flag = `--${key.replaceAll("_", "-")}`;
      const option = program.options.find(({ long }) => long === flag)!;
      const { request, said } = await outcome([...resume, flag, ...valueOf(option, folder)]);
      const old: unknown = tinyConfig()[key];
      if (old === true) continue;
      if (CHANGEABLE.includes(key)) {
        assert.ok(request, `${flag}: ${said}`);
        assert.notDeepEqual(JSON.parse(request).config[key], old, flag);
      } else assert.match(said ?? "taken", new RegExp(`${flag}`), flag);
    }
    assert.match(
      (await outcome([...resume, "--seed", "7"])).said!,
      /--resume: --seed: seed is 7, the run has 42.*leave it out/,
    );
  }));

Deno.test("--resume: flags, a file and a preset that say what the run has are fine", () =>
  withFolder(async (folder) => {
    await prepare(folder);
    const resume = ["--resume", "--out", join(folder, "run")];
    const { request } = await outcome(resume);
    const saved = join(folder, "saved.json");
    const { resolution, seed, unet } = tinyConfig();
    await Deno.writeTextFile(saved, JSON.stringify({ resolution, seed, unet }));
    const same = ["--resolution", "8", "--channels", "4,8", "--seed", "42", "--config", saved];
    assert.equal((await outcome([...resume, ...same])).request, request);
    assert.match(
      (await outcome([...resume, "--config", join(folder, "none.json")])).said!,
      /none\.json/,
    );
    await Deno.writeTextFile(saved, JSON.stringify({ ddpm_num_steps: 500, seed: 3 }));
    assert.match(
      (await outcome([...resume, "--config", saved])).said!,
      /saved\.json: ddpm_num_steps is 500, the run has 1000 \(and 1 more/,
    );
    assert.match(
      (await outcome([...resume, "--preset", "seed"])).said!,
      /--preset seed has another/,
    );
  }));

Deno.test("--epochs wins over steps that a file or a saved run has; both flags exclude each other", () =>
  withFolder(async (folder) => {
    await prepare(folder);
    for (const base of [["--resume", "--out", join(folder, "run")], ["--out", join(folder, "n")]]) {
      const config = JSON.parse((await outcome([...base, "--epochs", "9"])).request!).config;
      assert.deepEqual([config.num_epochs, config.max_train_steps], [9, null]);
      assert.match(
        (await outcome([...base, "--epochs", "9", "--steps", "3"])).said!,
        /--steps and --epochs/,
      );
    }
  }));
