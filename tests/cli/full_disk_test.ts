/** A full disk is one line that names the file, and exit code 2, in every task that writes. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { asWriteError, InputError } from "../../lib/errors.ts";
import { writeFileAtomic } from "../../lib/io/atomic.ts";
import { withFolder } from "../train/tiny.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MODEL = join(ROOT, "tests/fixtures/diffusers_tiny");
const ignore = Deno.build.os === "windows";

/** Runs a script whose files cannot have more than `blocks` of 512 bytes. */
async function run(blocks: number | "unlimited", script: string, ...args: string[]) {
  const command = ["deno", "run", "--no-prompt", "--no-check", "--allow-read", "--allow-write"];
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: [
      ...["-c", `trap '' XFSZ; ulimit -f ${blocks}; exec "$@"`, "sh", ...command],
      ...["--allow-env=INIT_CWD", join(ROOT, "scripts", `${script}.ts`), ...args],
    ],
    cwd: ROOT,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), error: text(stderr) };
}

const TASKS:
  readonly (readonly [name: string, (to: string) => [number | "unlimited", ...string[]]])[] = [
    ["phantom", (to) => [16, "phantom", "--patients", "1", "--size", "96", "--out", to]],
    ["phantom --dicom", (to) => [
      ...[16, "phantom", "--dicom", "--patients", "1", "--slices", "2"] as const,
      ...["--size", "96", "--out", to],
    ]],
    ["prepare", (to) => [4, "prepare", "--dicom", join(to, "../dicom"), "--out", to]],
    ["prepare --jobs 2", (to) => [
      ...[4, "prepare", "--dicom", join(to, "../dicom"), "--jobs", "2", "--out", to] as const,
    ]],
    ["train, as it packs", (to) => [
      ...[16, "train", "--data", join(to, "../npy"), "--no-tune", "--out", to] as const,
    ]],
    ["sample", (to) => [
      ...[4, "sample", "--model", MODEL, "--count", "1", "--steps", "1", "--no-tune"] as const,
      ...["--resolution", "64", "--out", to],
    ]],
    ["browser --build", (to) => [8, "browser", "--model", MODEL, "--build", to]],
    ["audit --json", (to) => [8, "audit", "--step", "sample", "--json", `${to}/audit.json`]],
  ];

Deno.test({
  name: "full disk",
  ignore,
  fn: (t) =>
    withFolder(async (folder) => {
      const dicom = ["--dicom", "--patients", "2", "--slices", "8", "--size", "48"];
      for (
        const args of [[...dicom, "--out", join(folder, "dicom")], [
          ...["--patients", "1", "--size", "64", "--out", join(folder, "npy")],
        ]]
      ) {
        const { code, error } = await run("unlimited", "phantom", ...args);
        assert.equal(code, 0, error);
      }
      for (const [name, argsOf] of TASKS) {
        await t.step(`${name}: one line, exit code 2`, async () => {
          const to = join(folder, "to");
          const [blocks, script, ...args] = argsOf(to);
          const { code, error } = await run(blocks, script, ...args);
          assert.equal(code, 2, error);
          const lines = error.split("\n").filter((line) => /error|^\s+at /i.test(line));
          assert.equal(lines.length, 1, error);
          assert.match(
            lines[0],
            /^error: .*Cannot (write|pack) .*\/to\b.*: File too large/,
          );
          await Deno.remove(to, { recursive: true }).catch(() => {});
        });
      }
    }),
});

Deno.test({
  name: "a pipe or a device as output is written to, not replaced",
  ignore,
  fn: () =>
    withFolder(async (folder) => {
      const pipe = join(folder, "pipe");
      const reader = new Deno.Command("sh", {
        args: ["-c", 'mkfifo "$0" && echo made && cat "$0"', pipe],
        stdout: "piped",
      }).spawn();
      const isThere = () => Deno.stat(pipe).then(() => true, () => false);
      for (let i = 0; i < 100 && !await isThere(); i++) await new Promise((r) => setTimeout(r, 50));
      await writeFileAtomic(pipe, "all of it");
      const { stdout } = await reader.output();
      assert.equal(new TextDecoder().decode(stdout), "made\nall of it");
      assert.ok((await Deno.stat(pipe)).isFifo);
    }),
});

Deno.test("who knows more of a failed write says so; other errors pass as they are", () => {
  const full = Object.assign(new Error("No space left on device (os error 28)"), {
    code: "ENOSPC",
  });
  const inner = asWriteError(full, "Cannot write x");
  const outer = asWriteError(inner, "Cannot save the checkpoint", "step 3 is intact") as Error;
  assert.ok(outer instanceof InputError);
  assert.equal(
    outer.message,
    "Cannot save the checkpoint: no space left on the disk; step 3 is intact",
  );
  for (const error of [new InputError("bad flag"), new TypeError("bug")]) {
    assert.equal(asWriteError(error, "Cannot go on"), error);
  }
});
