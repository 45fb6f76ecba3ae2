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

Deno.test("killed three times and resumed, a run ends with the same bytes", () =>
  withFolder(async (folder) => {
    const { code, stdout, stderr } = await outcome(
      new Deno.Command("deno", {
        args: [
          ...["run", ...PERMISSIONS, "--allow-run=deno", "scripts/kill_test.ts"],
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

Deno.test({
  name: "SIGTERM finishes the step, saves, and says how to go on",
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
      for (let i = 0; i < 600 && !begun(); i++) await new Promise((next) => setTimeout(next, 100));
      child.kill("SIGTERM");
      const { code, stdout, stderr } = await result;
      assert.equal(code, 0, stderr);
      const step = /stopped at step (\d+); go on with: \.\/run train --resume --out /.exec(stdout);
      assert.ok(step, stdout);
      const name = `step-${step[1].padStart(8, "0")}`;
      assert.ok(Deno.statSync(join(folder, "run", "checkpoints", name)).isDirectory);
    });
  },
});
