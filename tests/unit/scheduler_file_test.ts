/** scheduler_config.json: diffusers' own files are read, and what is written is what was read. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import {
  readSchedulerFile,
  schedulerJson,
  writeSchedulerFile,
} from "../../lib/diffusion/scheduler_file.ts";
import { InputError } from "../../lib/errors.ts";

/** Written by `save_config` of diffusers 0.42.1. */
const FIXTURES = fileURLToPath(new URL("../fixtures/schedulers", import.meta.url));

for (const name of ["ddpm", "ddim", "dpmpp"]) {
  Deno.test(`diffusers' own ${name} configuration survives reading and writing`, async () => {
    const path = join(FIXTURES, `${name}.json`);
    const raw = await readSchedulerFile(path);
    const config = schedulerConfig(raw, path);
    const written = join(await Deno.makeTempDir(), "scheduler_config.json");
    await writeSchedulerFile(written, config);
    const again = await readSchedulerFile(written);
    for (const [key, value] of Object.entries(again)) {
      if (key !== "_diffusers_version") assert.equal(value, raw[key], key);
    }
    assert.deepEqual(schedulerConfig(again, written), config);
  });
}

Deno.test("only the keys of the class are written", () => {
  const solver = schedulerJson(
    schedulerConfig({ _class_name: "DPMSolverMultistepScheduler" }, "x"),
  );
  assert.ok(!("clip_sample" in solver) && !("variance_type" in solver));
  assert.equal(solver.algorithm_type, "dpmsolver++");
  const ddim = schedulerJson(schedulerConfig({ _class_name: "DDIMScheduler" }, "x"));
  assert.ok(!("variance_type" in ddim) && !("solver_order" in ddim));
});

Deno.test("what is not supported is refused by name", async () => {
  const path = join(await Deno.makeTempDir(), "scheduler_config.json");
  const refuse = async (json: unknown, message: RegExp) => {
    await Deno.writeTextFile(path, typeof json === "string" ? json : JSON.stringify(json));
    await assert.rejects(
      async () => schedulerConfig(await readSchedulerFile(path), path),
      (error) => error instanceof InputError && message.test(error.message),
    );
  };
  const solver = { _class_name: "DPMSolverMultistepScheduler" };
  await refuse({ ...solver, use_karras_sigmas: true }, /true of scheduler key "use_karras_sigmas"/);
  await refuse({ ...solver, solver_order: 3 }, /solver_order is 3, it must be 1 or 2/);
  await refuse({ _class_name: "EulerDiscreteScheduler" }, /_class_name is "EulerDiscrete/);
  await refuse({ beta_start: 0.1 }, /_class_name is missing/);
  await refuse("[1]", /not a JSON object/);
  await refuse("{", /scheduler_config\.json/);
});
