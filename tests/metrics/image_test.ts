/** PSNR, SSIM, MS-SSIM and MSE against torchmetrics 1.9.0 and, for the older borders, 1.4.0. */

import assert from "node:assert/strict";
import { toFloat32 } from "../../lib/io/safetensors.ts";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";
import { mse } from "../../lib/metrics/mse.ts";
import { msSsim, msSsimBetas } from "../../lib/metrics/ms_ssim.ts";
import { psnr } from "../../lib/metrics/psnr.ts";
import { ssim, type SsimBorder } from "../../lib/metrics/ssim.ts";
import golden from "../fixtures/metrics/image_metrics.json" with { type: "json" };
import { fixture, shared } from "./shared.ts";

async function images(path: string) {
  const { tensors } = await readSafetensors(path);
  const split = (name: string) => {
    const tensor = tensors.get(name)!;
    const [count, height, width] = [tensor.shape[0], ...tensor.shape.slice(-2)];
    const data = toFloat32(tensor);
    const size = height * width;
    return {
      height,
      width,
      rows: Array.from({ length: count }, (_, i) => data.subarray(i * size, (i + 1) * size)),
    };
  };
  return { tensors, generated: split("generated"), target: split("target") };
}

function near(actual: number, expected: number, tolerance: number, what: string) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

for (const border of ["padded", "cropped"] as SsimBorder[]) {
  Deno.test(`image metrics agree with torchmetrics, borders ${border}`, async () => {
    const { generated, target } = await images(fixture("image_pairs.safetensors"));
    const { height, width } = generated;
    const expected = golden[border];
    generated.rows.forEach((a, i) => {
      const b = target.rows[i];
      near(
        ssim(a, b, { height, width, dataRange: 2, border }),
        expected.ssim[i],
        2e-6,
        `SSIM ${i}`,
      );
      near(psnr(a, b, 2), expected.psnr[i], 1e-5, `PSNR ${i}`);
      near(mse(a, b), expected.mse[i], 1e-7, `MSE ${i}`);
    });
    for (const { height, width, value } of expected.ms_ssim) {
      const [a, b] = [0, 0.4].map((phase) => wave(height, width, phase));
      const betas = msSsimBetas(height, width);
      assert.equal(betas.length, Math.min(height, width) >= 176 ? 5 : 4);
      const options = { height, width, dataRange: 2, border, betas };
      near(msSsim(a, b, options), value, 5e-6, `MS-SSIM ${height}×${width}`);
    }
  });
}

Deno.test("image metrics agree with the shared reference case within 1e-4", async () => {
  const path = shared("reference/cases/metrics.safetensors");
  if (!path) return;
  const { tensors, generated, target } = await images(path);
  const { height, width } = generated;
  const of = (name: string) => toFloat32(tensors.get(name)!);
  generated.rows.forEach((a, i) => {
    const b = target.rows[i];
    near(ssim(a, b, { height, width, dataRange: 2 }), of("ssim")[i], 1e-5, `SSIM ${i}`);
    near(psnr(a, b, 2), of("psnr")[i], 1e-5, `PSNR ${i}`);
    near(mse(a, b), of("mse")[i], 1e-6, `MSE ${i}`);
  });
});

Deno.test("image metrics: identical images, constants, masks and what is refused", () => {
  const size = { height: 16, width: 12 };
  const flat = (value: number) => new Float32Array(16 * 12).fill(value);
  assert.equal(psnr(flat(0.1), flat(0.1), 2), Infinity);
  assert.equal(ssim(flat(0.1), flat(0.1), { ...size, dataRange: 2 }), 1);
  near(ssim(flat(0.5), flat(-0.5), { ...size, dataRange: 2 }), -0.9984016, 1e-6, "constant SSIM");
  near(psnr(flat(0.5), flat(-0.5), 2), 6.0206, 1e-5, "constant PSNR");

  // Inside the mask the images differ by 1, outside they are equal.
  const mask = flat(0), moved = flat(0);
  for (let i = 0; i < 40; i++) mask[i] = moved[i] = 1;
  assert.equal(mse(moved, flat(0)), 40 / 192);
  assert.equal(mse(moved, flat(0), mask), 1);
  near(psnr(moved, flat(0), 2, mask), 6.0206, 1e-5, "in-mask PSNR");

  assert.throws(() => mse(flat(0), new Float32Array(3)), /lengths must be equal: 192, 3/);
  assert.throws(() => mse(flat(0), flat(0), flat(0)), /over no pixels/);
  assert.throws(
    () => ssim(flat(0), flat(0), { height: 12, width: 15, dataRange: 2 }),
    /180 pixels/,
  );
  const small = new Float32Array(25);
  assert.throws(() => ssim(small, small, { height: 5, width: 5, dataRange: 2 }), /needs 6 pixels/);
  assert.throws(() => msSsim(flat(0), flat(0), { ...size, dataRange: 2 }), /5 scales need 176/);
});

/** The same image as `wave` of tests/reference/make_image_metrics.py. */
function wave(height: number, width: number, phase: number): Float32Array {
  return Float32Array.from({ length: height * width }, (_, i) => {
    const y = Math.floor(i / width), x = i % width;
    return 0.6 * Math.sin(0.11 * x + 0.07 * y + phase) +
      0.3 * Math.cos(0.9 * x - 0.5 * y + 2 * phase);
  });
}
