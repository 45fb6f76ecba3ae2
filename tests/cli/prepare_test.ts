/** phantom --dicom → prepare → train → sample, as a user runs them; and prepare's exit codes. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readNpy } from "../../lib/io/npy_file.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function run(script: string, ...args: string[]) {
  const permissions = ["--allow-read", "--allow-write", "--allow-env=INIT_CWD"];
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", ...permissions, join(ROOT, "scripts", `${script}.ts`), ...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, text: text(stdout) + text(stderr) };
}

const TINY = {
  train_batch_size: 2,
  eval_pairs: 1,
  ddpm_num_inference_steps: 2,
  unet: {
    block_out_channels: [4, 8],
    norm_num_groups: 4,
    attention_head_dim: 4,
    down_block_types: ["DownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "UpBlock2D"],
  },
};

Deno.test("a phantom on disk as DICOM goes all the way: prepare, train, sample", async () => {
  const folder = await Deno.makeTempDir();
  const ok = async (script: string, ...args: string[]) => {
    const { code, text } = await run(script, ...args);
    assert.equal(code, 0, `${script}: ${text}`);
    return text;
  };
  try {
    const at = (name: string) => join(folder, name);
    const go = (line: string, paths: Record<string, string>) => {
      const [script, ...args] = line.split(" ");
      return ok(script, ...args, ...Object.entries(paths).flatMap(([k, v]) => [`--${k}`, at(v)]));
    };
    await go("phantom --dicom --patients 3 --slices 16 --size 96 --detail 96 --seed 3", {
      out: "dicom",
    });
    const said = await go("prepare --min-lung 0.05 --val 0 --test 0", {
      dicom: "dicom",
      out: "data",
    });
    assert.match(said, /annotation read +3 +48\n/);
    assert.match(said, /written, with a nodule +[1-9]/);
    await Deno.writeTextFile(at("tiny.json"), JSON.stringify(TINY));
    await go("train --resolution 16 --steps 2", { config: "tiny.json", data: "data", out: "run" });
    await go("sample --count 1 --steps 2", { run: "run", data: "data", out: "samples" });
    const npy = [...Deno.readDirSync(at("samples"))].find((e) => e.name.endsWith(".npy"));
    assert.ok(npy, "sample wrote an .npy");
    const { data } = await readNpy(at(`samples/${npy.name}`));
    assert.ok(Array.from(data, Number).every(Number.isFinite));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("prepare: wrong use and unreadable input exit with 2 and one clear line", async () => {
  const cases: [string[], RegExp][] = [
    [["--out", "x"], /give one of --dicom, --nifti and --luna16/],
    [["--dicom", "/nowhere/at/all", "--out", "x"], /\/nowhere\/at\/all.*no such file/],
    [["--dicom", ".", "--out", "x", "--jobs", "0"], /--jobs.*whole number in 1/],
    [["--dicom", join(ROOT, "docs"), "--out", "x"], /No CT series/],
  ];
  for (const [args, message] of cases) {
    const { code, text } = await run("prepare", ...args);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert.doesNotMatch(text, /at file:/);
  }
});
