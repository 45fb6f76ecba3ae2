/** Shapes as they are typed: what they mean, and what is refused. */

import assert from "node:assert/strict";
import { jobsOfShapes, opsNamed } from "../../lib/bench/jobs.ts";
import {
  dimsText,
  formOfDims,
  overAxes,
  parseAxis,
  parseShape,
  SIGNATURES,
  signatureText,
  smallDims,
} from "../../lib/bench/signature.ts";
import { DEFAULT_PROFILE } from "../../lib/gpu/device.ts";

Deno.test("a typed convolution is the one that a model has", () => {
  const form = (op: string, text: string) => formOfDims(op, parseShape(op, text), "f32");
  const typed = "x=8x32x128x128,w=64x32x3x3,stride=2";
  const attrs = { stride: 2, padding: [1, 1, 1, 1] };
  assert.deepEqual(form("conv2d", typed), {
    op: "conv2d",
    inputs: [
      { shape: [8, 32, 128, 128], dtype: "f32" },
      { shape: [64, 32, 3, 3], dtype: "f32" },
    ],
    attrs,
  });
  const data = form("conv2d_backward_data", typed);
  assert.deepEqual(data.inputs[0].shape, [8, 64, 64, 64]);
  assert.deepEqual(data.attrs, { ...attrs, inputShape: [8, 32, 128, 128] });
  const weight = form("conv2d_backward_weight", "x=1×3×9×10,w=4×3×3×3,padding=0");
  assert.deepEqual(weight.inputs.map((t) => t.shape), [[1, 3, 9, 10], [1, 4, 7, 8]]);
  assert.deepEqual(weight.attrs, {
    ...{ stride: 1, padding: [0, 0, 0, 0], weightShape: [4, 3, 3, 3] },
  });
  const norm = form("group_norm_apply", "x=2x64x8x8,groups=16,silu=0");
  assert.deepEqual(norm.attrs, { groups: 16, silu: false });
  assert.deepEqual(form("attention", "x=1x96x4x4").attrs, {
    ...{ heads: 12, scale: 1 / Math.sqrt(8) },
  });
  const half = formOfDims("conv2d", parseShape("conv2d", typed), "f16");
  assert.deepEqual(half.inputs.map((t) => t.dtype), ["f16", "f32"]);
  assert.deepEqual(half.attrs, { ...attrs, dtype: "f16" });
});

Deno.test("every op that can be typed is inferred and small enough to check", () => {
  for (const op of Object.keys(SIGNATURES)) {
    const { tensors } = SIGNATURES[op as keyof typeof SIGNATURES]!;
    const text = Object.entries(tensors).map(([name, axes]) =>
      `${name}=${axes.map((a) => a.startsWith("k") ? 3 : 96).join("x")}`
    ).join(",");
    for (const dtype of ["f32", "f16"] as const) {
      if (["linear", "silu"].includes(op) && dtype === "f16") continue; // f32 always
      const dims = parseShape(op, text);
      formOfDims(op, dims, dtype);
      formOfDims(op, smallDims(dims), dtype);
    }
    assert.match(signatureText(op)!, /^x=n×/);
  }
});

Deno.test("axes vary dimensions and settings, in the order typed", () => {
  const dims = parseShape("conv2d", "x=1x32x8x8,w=32x32x3x3");
  const axes = ["co=32,64", "stride=1,2"].map((text) => parseAxis("conv2d", text));
  assert.deepEqual(
    overAxes(dims, axes).map((d) => dimsText("conv2d", d)),
    [
      "x 1×32×8×8, w 32×32×3×3",
      "x 1×32×8×8, w 32×32×3×3, stride 2",
      "x 1×32×8×8, w 64×32×3×3",
      "x 1×32×8×8, w 64×32×3×3, stride 2",
    ],
  );
  assert.deepEqual(smallDims({ n: 8, ci: 3, h: 128, w: 128 }), { n: 1, ci: 3, h: 8, w: 128 });
  assert.deepEqual(smallDims({ n: 8, c: 3, h: 4, w: 512 }), { n: 1, c: 3, h: 4, w: 512 });
});

Deno.test("what does not fit is refused with what would", () => {
  const says = (op: string, text: string) => {
    try {
      formOfDims(op, parseShape(op, text), "f32");
      return "";
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
  };
  for (
    const [op, text, why] of [
      ["conv2d", "x=8x32x8x8", /^InputError: --shape: conv2d needs w; it takes x=n×ci×h×w w=/],
      ["conv2d", "x=8x32x8x8,w=64x16x3x3", /ci is 32 in x and 16 in w/],
      ["conv2d", "x=8x32x8,w=64x32x3x3", /--shape x=8x32x8: conv2d takes 4 dimensions, n×ci×h×w/],
      ["conv2d", "x=8x32x8x0,w=64x32x3x3", /"0" must be a whole number from 1/],
      ["conv2d", "x=8x32x8x-1,w=64x32x3x3", /"-1" must be a whole number/],
      ["conv2d", "x=8x32x8x1e3,w=64x32x3x3", /"1e3" must be a whole number/],
      ["conv2d", "x=1x1x1x1,x=1x1x1x1", /x is given twice/],
      ["conv2d", "y=1x1x1x1", /conv2d has no "y"; it takes x=/],
      ["conv2d", "x=8x32x2x2,w=64x32x7x7,padding=0", /^InputError: --shape: conv2d: /],
      ["group_norm_stats", "x=1x48x8x8", /^InputError: --shape: group_norm_stats: /],
      ["pack", "x=1", /shapes of pack cannot be typed, only of conv2d, .*--model times it/],
    ] as const
  ) assert.match(says(op, text), why, text);
  assert.throws(() => parseAxis("conv2d", "cx=1"), /--axis cx=1: conv2d has n, ci, h, w, co, kh/);
  assert.throws(() => parseAxis("conv2d", "co=1,,2"), /"" must be a whole number/);
  assert.throws(() => opsNamed("convolution"), /--op convolution: there is add, /);
  assert.deepEqual(opsNamed("group_norm_s"), ["group_norm_stats", "group_norm_sums"]);
  assert.deepEqual(opsNamed("add"), ["add"], "an op's own name means that op alone");
});

Deno.test("variants: the first, one by name, all, or an error with those on offer", () => {
  const device = { ...DEFAULT_PROFILE, software: true };
  const jobs = (variant?: string) =>
    jobsOfShapes("conv2d", ["x=1x32x8x32,w=32x32x3x3"], [], { device }, {
      ...{ precision: "f32", variant },
    });
  const all = jobs("all").map((j) => j.variant.name);
  assert.ok(all.length > 2);
  assert.deepEqual(jobs().map((j) => j.variant.name), [all[0]]);
  assert.deepEqual(jobs(all[1]).map((j) => j.variant.name), [all[1]]);
  assert.throws(() => jobs("fastest"), (error: Error) => error.message.includes(all.join(", ")));
  const [{ flops, bytes, small }] = jobs();
  assert.equal(flops, 2 * 32 * 32 * 9 * 8 * 32);
  assert.equal(bytes, 4 * (2 * 32 * 8 * 32 + 32 * 32 * 9));
  assert.deepEqual(small!.inputs[0].shape, [1, 32, 8, 32]);
});
