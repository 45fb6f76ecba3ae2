/**
 * Kernels in which a subgroup reads or stores for all, of the size that this driver's vectors do not have: in a
 * process of its own, with vectors of 256 bits where they are of 512, and the other way round. Those of
 * its own size are in ops_test.ts.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { openGpu } from "../../lib/gpu/device.ts";

/** Ops that only store so, small enough to be tried with tensors of f16 too. */
const STORING = ["add", "group_norm_apply", "group_norm_data_gradient"];

/** Ops that have such kernels. */
const OPS = [
  ...STORING,
  "adamw",
  "attention",
  "attention_backward",
  "conv2d",
  "conv2d_backward_data",
  "conv2d_backward_weight",
  "conv2d_normalised",
  "conv2d_upsampled",
  "conv2d_upsampled_backward_data",
  "conv2d_upsampled_backward_weight",
  "gradient_clip",
  "group_norm_stats",
  "group_norm_sums",
  "mse",
  "mse_with_gradient",
  "sum_spatial",
];

/** Ops that join what a workgroup has: of eight where vectors have four lanes only, as on ARM. */
const REDUCING = ["gradient_clip", "group_norm_stats", "group_norm_sums", "mse", "sum_spatial"];

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

const gpu = await openGpu();
const { software, lanes } = gpu.profile;
gpu.destroy();
const isLlvmpipe = software && [8, 16].includes(lanes) && gpu.name.includes("llvmpipe");
const other = lanes === 16 ? 8 : 16;

/** Tests of ops in a process with vectors of so many lanes. Returns what it printed. */
async function withLanes(count: number, tests: string[], ops: string[]): Promise<string> {
  // Mesa's cache of compiled shaders does not know the width.
  const cache = await Deno.makeTempDir({ prefix: "shaders-" });
  try {
    const { code, stdout, stderr } = await new Deno.Command("deno", {
      args: ["test", "--no-check", "--allow-read", "--allow-env=OP", ...tests.map(file)],
      env: {
        LP_NATIVE_VECTOR_WIDTH: String(32 * count),
        MESA_SHADER_CACHE_DIR: cache,
        OP: ops.map((op) => `${op}!`).join(),
        NO_COLOR: "1",
      },
    }).output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, text.slice(-4000));
    for (const op of ops) assert.match(text, new RegExp(`^ *${op} .*ok`, "m"));
    return text;
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

const skipped = "with vectors of another width (this is not llvmpipe)";

Deno.test({
  name: isLlvmpipe
    ? `ops whose kernels share by lanes, with vectors of ${32 * other} bits`
    : `skipped: ops whose kernels share by lanes, ${skipped}`,
  ignore: !isLlvmpipe,
  async fn() {
    for (const [tests, ops] of [["ops_test.ts", OPS], ["half_test.ts", STORING]] as const) {
      const text = await withLanes(other, [tests, "lanes_child.ts"], [...ops]);
      assert.match(text, new RegExp(`subgroups of ${other} are there \\.\\.\\. ok`));
    }
  },
});

Deno.test({
  name: isLlvmpipe ? "sums with vectors of 128 bits" : `skipped: sums ${skipped}`,
  ignore: !isLlvmpipe,
  async fn() {
    await withLanes(4, ["ops_test.ts"], REDUCING);
  },
});
