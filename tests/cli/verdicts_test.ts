/** Tasks that judge: exit code 0 only where all is right, 1 where one thing is not, 2 for wrong use. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CASE = join(ROOT, "tests/fixtures/reference/ddim-6.safetensors");

async function run(script: string, ...args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-prompt", "--allow-read", "--allow-env=INIT_CWD"]
      .concat(join(ROOT, "scripts", `${script}.ts`), args),
    cwd: ROOT,
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** A copy of the case with a value of a tensor changed. */
async function damaged(folder: string, tensor: string, change: (v: number) => number) {
  const bytes = await Deno.readFile(CASE), view = new DataView(bytes.buffer);
  const length = Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const at = 8 + length + header[tensor].data_offsets[0] + 8;
  view.setFloat32(at, change(view.getFloat32(at, true)), true);
  const path = join(folder, "damaged.safetensors");
  await Deno.writeFile(path, bytes);
  return path;
}

Deno.test("verify: 0 for a right case, 1 as soon as one of several is wrong", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const right = await run("verify", CASE);
    assert.equal(right.code, 0, right.text);
    const bad = await damaged(folder, "alphas_cumprod", (v) => v * 1.001);
    const wrong = await run("verify", CASE, bad);
    assert.equal(wrong.code, 1, wrong.text);
    assert.match(wrong.text, /alphas/);
    const first = await run("verify", bad, CASE);
    assert.equal(first.code, 1, "not only the last one counts");
    assert.equal((await run("verify", join(folder, "none.safetensors"))).code, 2);
    assert.equal((await run("verify")).code, 2);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("verify: an error at the edge of the tolerance passes, ten times it does not", async () => {
  const folder = await Deno.makeTempDir();
  try {
    // ᾱ may be off by a few of float32's steps, 6e-8.
    const slight = await damaged(folder, "alphas_cumprod", (v) => v * (1 + 6e-8));
    assert.equal((await run("verify", slight)).code, 0);
    const more = await damaged(folder, "alphas_cumprod", (v) => v * (1 + 2e-4));
    assert.equal((await run("verify", more)).code, 1);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
