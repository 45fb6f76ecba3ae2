/** Training as a process: killed, stopped, and out of disk. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TINY = {
  train_batch_size: 2,
  phantom_slices: 8,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  keep: 4,
  unet: { norm_num_groups: 4, attention_head_dim: 4 },
};
const PERMISSIONS = ["--no-prompt", "--allow-read", "--allow-write", "--allow-env=INIT_CWD"];

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(join(folder, "tiny.json"), JSON.stringify(TINY));
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs a script, below a shell that first does `before`. */
function spawn(before: string, script: string, ...args: string[]): Deno.ChildProcess {
  const command = ["deno", "run", ...PERMISSIONS, script, ...args];
  return new Deno.Command("sh", {
    args: ["-c", `${before} exec "$@"`, "sh", ...command],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function outcome(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const fresh = (folder: string) => {
  const shape = ["--resolution", "8", "--channels", "4,8"];
  return ["--config", join(folder, "tiny.json"), ...shape, "--out", join(folder, "run")];
};

/** A list of programs, or none where the tests have none (LD_LIBRARY_PATH, see scripts/launch.ts). */
const ANY_PROGRAM = Deno.permissions.querySync({ name: "run" }).state === "granted"
  ? "--allow-run"
  : "--allow-run=deno";

Deno.test("killed three times and resumed, a run ends with the same bytes", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await outcome(
      new Deno.Command("deno", {
        args: [
          ...["run", ...PERMISSIONS, ANY_PROGRAM, "scripts/kill_test.ts"],
          ...["--kills", "3", "--steps", "10", "--seed", "5", "--out", folder],
        ],
        cwd: ROOT,
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /3 kills: .* are the same bytes/);
  }));

Deno.test({
  name: "out of disk: one line, exit code 2, the checkpoint before it intact",
  ignore: Deno.build.os === "windows",
  async fn() {
    await withFolder(async (folder) => {
      const run = join(folder, "run");
      const first = await outcome(spawn("", "scripts/train.ts", ...fresh(folder), "--steps", "3"));
      assert.equal(first.code, 0, first.stderr);
      // Files beyond 64 × 512 bytes (weights, and nothing else) cannot be written, as on a full disk, from here on.
      const full = await outcome(
        spawn(
          "trap '' XFSZ; ulimit -f 64;",
          "scripts/train.ts",
          ...["--resume", "--steps", "6", "--out", run],
        ),
      );
      assert.equal(full.code, 2, full.stderr);
      assert.match(
        full.stderr,
        /error: Cannot (save the checkpoint of step \d+ in|go on at step \d).*(may not be that large|File too large)/,
      );
      assert.match(full.stderr, /step-00000003 is intact/);
      assert.doesNotMatch(full.stderr, /^\s+at /m);
      const left = [...Deno.readDirSync(join(run, "checkpoints"))].map((e) => e.name);
      assert.deepEqual(left.filter((name) => name.startsWith(".")), []);
      const again = await outcome(
        spawn("", "scripts/train.ts", "--resume", "--steps", "6", "--out", run),
      );
      assert.equal(again.code, 0, again.stderr);
      assert.match(again.stdout, /going on from step 3/);
    });
  },
});

for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test({
    name: `${signal} finishes the step, saves, says how to go on, and exits with ${expected}`,
    ignore: Deno.build.os === "windows",
    async fn() {
      await withFolder(async (folder) => {
        const child = spawn("", "scripts/train.ts", ...fresh(folder), "--steps", "5000");
        const result = outcome(child);
        const metrics = join(folder, "run", "metrics.csv");
        const begun = () => {
          try {
            return Deno.readTextFileSync(metrics).trim().split("\n").length > 1;
          } catch {
            return false;
          }
        };
        for (let i = 0; i < 600 && !begun(); i++) {
          await new Promise((next) => setTimeout(next, 100));
        }
        child.kill(signal);
        const { code, stdout, stderr } = await result;
        assert.equal(code, expected, stderr);
        const step = /stopped at step (\d+); go on with: \.\/run train --resume --out /.exec(
          stdout,
        );
        assert.ok(step, stdout);
        const name = `step-${step[1].padStart(8, "0")}`;
        assert.ok(Deno.statSync(join(folder, "run", "checkpoints", name)).isDirectory);
      });
    },
  });
}

Deno.test("a run that goes on: changes are recorded, other slices refused, fewer steps refused", () =>
  withFolder(async (folder) => {
    const run = join(folder, "run"), data = join(folder, "data");
    const train = async (...args: string[]) => {
      const { code, stdout, stderr } = await outcome(spawn("", "scripts/train.ts", ...args));
      return { code, text: stdout + stderr };
    };
    const made = await outcome(
      spawn("", "scripts/phantom.ts", "--patients", "1", "--size", "64", "--out", data),
    );
    assert.equal(made.code, 0, made.stderr);
    const first = await train(...fresh(folder), "--data", data, "--steps", "3");
    assert.equal(first.code, 0, first.text);
    const json = async (name: string) => JSON.parse(await Deno.readTextFile(join(run, name)));
    const before = await json("config.json");

    const fewer = await train("--resume", "--out", run, "--steps", "2");
    assert.equal(fewer.code, 2, fewer.text);
    assert.match(fewer.text, /is at step 3, and 2 are asked for/);
    assert.deepEqual(await json("config.json"), before);
    const done = await train("--resume", "--out", run);
    assert.equal(done.code, 0, done.text);
    assert.match(done.text, /the run is complete: it has its 3 steps/);
    assert.doesNotMatch(done.text, /steps\/s: /);

    const again = ["--resume", "--out", run, "--steps", "5", "--learning-rate", "0.001"];
    const patient = join(data, "PHANTOM0001");
    const slice = [...Deno.readDirSync(patient)].find(({ name }) => /_slice_/.test(name))!.name;
    for (const name of [slice, slice.replace("_slice_", "_lung_mask_")]) {
      await Deno.copyFile(join(patient, name), join(data, `Z${name}`));
    }
    const other = await train(...again);
    assert.equal(other.code, 2, other.text);
    assert.match(other.text, /not those that the run began with .*--accept-new-data/);
    const accepted = await train(...again, "--accept-new-data");
    assert.equal(accepted.code, 0, accepted.text);
    assert.match(accepted.text, /going on from step 3/);
    const { sessions } = await json("provenance.json");
    const { from_step, changes } = sessions.at(-1);
    assert.equal(from_step, 3);
    assert.deepEqual(Object.keys(changes).sort(), ["data", "learning_rate", "max_train_steps"]);
    assert.deepEqual(changes.learning_rate, { from: before.learning_rate, to: 0.001 });
  }));
