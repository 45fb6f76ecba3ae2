/** Which weights, schedule, window and null class a folder gives, in every layout that has them. */

import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadModelFolder, loadRunModel, openModel } from "../../lib/diffusion/model_folder.ts";
import { chooseScheduler, modelNotes } from "../../lib/diffusion/sampling_model.ts";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { loadPretrained, savePretrained } from "../../lib/nn/pretrained.ts";
import { saveCheckpoint } from "../../lib/train/checkpoint.ts";

const FORMS = fileURLToPath(new URL("../fixtures/weight_forms", import.meta.url));
const model = await loadPretrained(join(FORMS, "whole"));
const SCHEDULER = {
  _class_name: "DDPMScheduler",
  _null_class: -1,
  _of_later: "kept",
  beta_schedule: "scaled_linear",
  prediction_type: "v_prediction",
};

async function write(folder: string, scheduler?: string, unet = "unet"): Promise<string> {
  await savePretrained(join(folder, unet), model);
  if (scheduler !== undefined) {
    await Deno.mkdir(join(folder, scheduler), { recursive: true });
    const path = join(folder, scheduler, "scheduler_config.json");
    await Deno.writeTextFile(path, JSON.stringify(SCHEDULER));
  }
  return folder;
}

const temporary = () => Deno.makeTempDir();

/** A run of one checkpoint whose averaged weights are half the plain ones. */
async function makeRun(scheduler: Record<string, unknown> = SCHEDULER): Promise<string> {
  const run = await temporary();
  const half = model.params.map((v) => v / 2), zero = model.params.map(() => 0);
  await saveCheckpoint(run, model.config, model.layout, scheduler, {
    progress: { step: 7, microStep: 7, sampler: {} as never },
    ...{ params: model.params, ema: half, m: zero, v: zero },
  });
  const config = { window_level: 40, window_width: 400, antialias: true };
  await Deno.writeTextFile(join(run, "config.json"), JSON.stringify(config));
  return run;
}
const STEP = "checkpoints/step-00000007";

const typeOf = (raw: Record<string, unknown>) => schedulerConfig(raw, "x").prediction_type;

Deno.test("the scheduler is found in every layout that from_pretrained knows, and beside the network", async () => {
  const layouts: [string, string | undefined, string, string][] = [
    // unet in, scheduler in, --model
    ["unet", "scheduler", "", "a pipeline"],
    ["unet", "", "", "a pipeline with the scheduler at its root"],
    ["", "", "", "everything in one folder"],
    ["", "scheduler", "", "a network with a scheduler below it"],
    ["unet", "scheduler", "unet", "a pipeline's network"],
    ["unet", "", "unet", "a pipeline's network, the scheduler at the root"],
    ["unet_ema", "scheduler", "unet_ema", "averaged weights of a checkpoint"],
    ["other", "scheduler", "other", "a network of another name"],
  ];
  for (const [unet, scheduler, named, label] of layouts) {
    const folder = await write(await temporary(), scheduler, unet);
    for (const path of [join(folder, named), join(folder, named, ".") + "/"]) {
      const found = await loadModelFolder(path);
      assert.ok(found.schedulerKnown, label);
      assert.equal(typeOf(found.scheduler), "v_prediction", label);
      assert.equal(found.nullClass, -1, label);
      assert.equal(found.scheduler._of_later, "kept", label);
      const said = modelNotes(found).some((note) => note.startsWith("scheduler from "));
      assert.equal(said, named !== "", `${label}: taken from beside the folder, and said`);
    }
  }
  // A scheduler that lies about next to a folder of any name is not its own.
  const stray = await write(await temporary(), "", "other");
  assert.ok(!(await loadModelFolder(join(stray, "other"))).schedulerKnown);
  // A link to a network knows what lies beside the network.
  const pipeline = await write(await temporary(), "scheduler"),
    link = join(await temporary(), "link");
  const linked = new Deno.Command("sh", {
    args: ["-c", 'ln -s "$0" "$1"', join(pipeline, "unet"), link],
  });
  assert.ok((await linked.output()).success);
  assert.equal(typeOf((await loadModelFolder(link)).scheduler), "v_prediction");
});

Deno.test("where nothing says what a model was trained for, one line says what is assumed", async () => {
  const bare = await write(await temporary(), undefined, "");
  const found = await loadModelFolder(bare), notes = modelNotes(found);
  assert.equal(typeOf(found.scheduler), "epsilon");
  assert.equal(notes.length, 1);
  assert.match(
    notes[0],
    /assumed: DDPM with ε-prediction and linear β 0\.0001 to 0\.02 over 1000 /,
  );
  assert.match(notes[0], /HU window of level -?\d+ and width \d+$/);
  assert.doesNotMatch(modelNotes(found, true)[0], /ε-prediction/);
});

Deno.test("a checkpoint: the averaged weights, or the plain ones, with the run's window", async () => {
  const run = await makeRun(), step = join(run, STEP);
  for (
    const [path, ema, unet, note] of [
      [
        step,
        undefined,
        "unet_ema",
        /the averaged weights \(unet_ema\); the plain ones are in unet$/,
      ],
      [step, false, "unet", /the plain weights \(unet\); the averaged ones are in unet_ema$/],
      [join(step, "unet_ema"), undefined, "unet_ema", undefined],
      [join(step, "unet"), undefined, "unet", undefined],
    ] as const
  ) {
    const found = await loadModelFolder(path, ema);
    assert.equal(basename(found.folder), unet);
    assert.equal(found.params[3], model.params[3] / (unet === "unet_ema" ? 2 : 1));
    assert.equal(typeOf(found.scheduler), "v_prediction");
    assert.equal(found.nullClass, -1);
    assert.deepEqual(found.preparation, {
      window: { level: 40, width: 400 },
      antialias: true,
      condition: "class",
    });
    if (note) assert.match(found.notes[0], note);
    assert.ok(!modelNotes(found).some((line) => line.includes("assumed")));
  }
  const [named, found] = [await loadModelFolder(step), await loadRunModel(run, true)];
  assert.deepEqual(named.params, found.params);
  assert.deepEqual(named.preparation, found.preparation);
});

Deno.test("a checkpoint copied out of its run keeps the window that its scheduler's notes say", async () => {
  const notes = {
    _window_level: -500,
    _window_width: 1400,
    _antialias: true,
    _condition: "nodule-mask",
  };
  const run = await makeRun({ ...SCHEDULER, ...notes });
  const away = join(await temporary(), "model");
  await Deno.rename(join(run, STEP), away);
  for (const part of ["", "unet_ema"]) {
    const { preparation, notes } = await loadModelFolder(join(away, part));
    assert.deepEqual(preparation, {
      window: { level: -500, width: 1400 },
      antialias: true,
      condition: "nodule-mask",
    });
    assert.ok(!notes.some((note) => note.includes("SHA-256")), "its sums went with it");
  }
});

Deno.test("a bit flipped in weights, configuration or scheduler is refused by file; so in a copy", async () => {
  const run = await makeRun(), step = join(run, STEP);
  const flip = async (path: string) => {
    const bytes = await Deno.readFile(path);
    bytes[bytes.length - 3] ^= 1;
    await Deno.writeFile(path, bytes);
  };
  for (
    const file of [
      "unet_ema/diffusion_pytorch_model.safetensors",
      "unet_ema/config.json",
      "scheduler/scheduler_config.json",
    ]
  ) {
    const path = join(step, file);
    await flip(path);
    for (
      const open of [
        () => loadRunModel(run, true),
        () => loadModelFolder(step),
        () => loadModelFolder(join(step, "unet_ema")),
      ]
    ) {
      await assert.rejects(open, (error: Error) => {
        assert.equal(error.name, "InputError", error.stack);
        assert.ok(error.message.startsWith(`${path}: its SHA-256 is not`), error.message);
        return true;
      });
    }
    await flip(path);
  }
  await loadRunModel(run, true);
  await Deno.writeTextFile(join(step, "unet_ema", "extra.json"), "{}");
  await loadRunModel(run, true);
});

Deno.test("weights that state.json does not list are refused; a missing state.json is said", async () => {
  const run = await makeRun(), step = join(run, STEP);
  const weights = join(step, "unet_ema", "diffusion_pytorch_model.safetensors");
  await Deno.rename(weights, weights.replace(".safetensors", ".fp16.safetensors"));
  await assert.rejects(
    loadRunModel(run, true),
    /fp16\.safetensors: .*state\.json has no SHA-256 of it/,
  );
  await Deno.rename(weights.replace(".safetensors", ".fp16.safetensors"), weights);
  await Deno.remove(join(step, "state.json"));
  const found = await loadRunModel(run, true);
  assert.match(found.notes.join(), /state\.json is missing: its SHA-256 sums cannot be checked/);
});

Deno.test("a model's own sampler keeps what its file says; another one takes the noise schedule only", async () => {
  const folder = await write(await temporary(), undefined, "");
  const own = {
    ...{ _class_name: "DDIMScheduler", steps_offset: 1, set_alpha_to_one: false },
    ...{ clip_sample: false, timestep_spacing: "trailing", beta_end: 0.03 },
  };
  await Deno.writeTextFile(join(folder, "scheduler_config.json"), JSON.stringify(own));
  const found = await loadModelFolder(folder);
  const ddim = chooseScheduler(found, "ddim");
  assert.deepEqual(ddim, schedulerConfig(own, "x"));
  const spaced = chooseScheduler(found, "ddim", "linspace");
  assert.deepEqual(spaced, { ...ddim, timestep_spacing: "linspace" });
  const ddpm = chooseScheduler(found, "ddpm");
  assert.deepEqual([ddpm.steps_offset, ddpm.timestep_spacing, ddpm.beta_end], [0, "leading", 0.03]);
});

Deno.test("averaged weights as diffusers' EMAModel writes them are a model", async () => {
  const folder = await write(await temporary(), "", "unet_ema");
  const path = join(folder, "unet_ema", "config.json");
  // EMAModel.save_pretrained of diffusers 0.42.1 adds these.
  const averaging = {
    ...{
      decay: 0.9999,
      inv_gamma: 1,
      min_decay: 0,
      optimization_step: 0,
      power: 0.6666666666666666,
    },
    ...{ update_after_step: 0, use_ema_warmup: false },
  };
  const config = { ...JSON.parse(await Deno.readTextFile(path)), ...averaging };
  await Deno.writeTextFile(path, JSON.stringify(config));
  const found = await loadModelFolder(folder);
  assert.deepEqual(found.params, model.params);
  assert.ok(!("decay" in found.config));
});

Deno.test("options that say nothing about the model named are refused", async () => {
  const run = await makeRun(), bare = await write(await temporary(), "", "");
  const refuse = (o: Parameters<typeof openModel>[0], message: RegExp) =>
    assert.rejects(openModel(o), (e: Error) => e.name === "InputError" && message.test(e.message));
  await refuse({}, /either --run or --model/);
  await refuse({ run, model: bare }, /either --run or --model/);
  await refuse({ model: bare, checkpoint: "best" }, /--checkpoint best is of a --run/);
  await refuse({ model: bare, ema: false }, /--no-ema chooses between/);
  await refuse({ model: run }, /a training run, no model: give it as --run/);
  await refuse({ model: await temporary() }, /has neither config\.json nor unet\/config\.json/);
  await refuse({ model: join(run, "nowhere") }, /nowhere/);
  await refuse({ run, checkpoint: "8" }, /no checkpoint of step 8; there are 7/);
  const { params } = await openModel({ run, checkpoint: "7", ema: false });
  assert.deepEqual(params, model.params);
});

Deno.test("the pipeline in one folder of the shared cases", async () => {
  const shared = Deno.env.get("LUNG_SHARED") ??
    fileURLToPath(new URL("../../../shared", import.meta.url));
  const folder = join(shared, "cases/runs/flat-pipeline-scheduler-ignored/model");
  if (!await Deno.stat(folder).then(() => true, () => false)) {
    return console.log("skipped: ../shared/cases is not there");
  }
  const config = schedulerConfig((await loadModelFolder(folder)).scheduler, folder);
  assert.deepEqual([config.prediction_type, config.beta_schedule], [
    "v_prediction",
    "scaled_linear",
  ]);
});

Deno.test("a checkpoint is found by its step, of any number of digits", async () => {
  const run = await makeRun();
  await Deno.rename(join(run, STEP), join(run, "checkpoints/step-12345678"));
  assert.ok(await loadRunModel(run, true, 12345678));
  await assert.rejects(loadRunModel(run, true, 2345678), /no checkpoint of step 2345678.*12345678/);
  await Deno.remove(run, { recursive: true });
});
