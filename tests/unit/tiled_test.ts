/** Convolutions in tiles, as GPUs run them: which come first, what they take, where they are not offered. */

import assert from "node:assert/strict";
import { AUDIT_PROFILES } from "../../lib/audit/profiles.ts";
import { auditedStep, presetConfig } from "../../lib/audit/steps.ts";
import type { DeviceProfile, Variant } from "../../lib/graph/op.ts";
import { conv2dBackwardDataOp, conv2dBackwardWeightOp, conv2dOp } from "../../lib/ops/conv2d/op.ts";
import { conv2dNormalisedOp } from "../../lib/ops/conv2d/normalised.ts";

const { gpu: GPU, "webgpu-minimum": MINIMUM, software: SOFTWARE } = AUDIT_PROFILES;
const f32 = (...shape: number[]) => ({ shape, dtype: "f32" as const });
const SAME = { stride: 1, padding: [1, 1, 1, 1] as const };

type Shape = readonly [n: number, ci: number, co: number, h: number, w: number];

function variants([n, ci, co, h, w]: Shape, device: DeviceProfile = GPU) {
  const [x, weight, y] = [f32(n, ci, h, w), f32(co, ci, 3, 3), f32(n, co, h, w)];
  const attrs = { ...SAME, extras: [], inputShape: x.shape, weightShape: weight.shape };
  const norm = [f32(n, 1, 2), f32(ci), f32(ci)];
  return {
    forward: conv2dOp.lower({ inputs: [x, weight], outputs: [y], attrs, device }),
    data: conv2dBackwardDataOp.lower({ inputs: [y, weight], outputs: [x], attrs, device }),
    weight: conv2dBackwardWeightOp.lower({ inputs: [x, y], outputs: [weight], attrs, device }),
    normalised: conv2dNormalisedOp.lower({
      inputs: [x, weight, ...norm],
      outputs: [y],
      attrs,
      device,
    }),
  };
}

const names = (all: readonly Variant[]) => all.map((v) => v.name);

/** Of images in workgroup memory, which Winograd's are not. */
const TILED = /^(small_)?tile/;

/** Of the first call: what a workgroup takes, in bytes and invocations, and how many there are. */
function costOf(variant: Variant) {
  const [{ constants = {}, workgroups, kernel }] = variant.build().calls;
  const { COLUMNS, HEIGHT, GROUPS, INPUTS } = constants as Record<string, number>;
  if (INPUTS) {
    const vec4s = INPUTS * (3 * (COLUMNS + 2) + 1) + 4 * GROUPS * (COLUMNS + 1);
    return { bytes: 16 * vec4s, invocations: INPUTS * GROUPS, workgroups };
  }
  const rows = kernel.text.includes("const ROWS: u32 = 2") ? 2 : 1;
  const vec4s = 4 * (COLUMNS + 2) * (HEIGHT + 2) + 4 * GROUPS * 9;
  const segments = COLUMNS * HEIGHT / rows;
  assert.equal(segments % 16, 0);
  return {
    bytes: 16 * vec4s,
    invocations: segments * GROUPS,
    workgroups,
    pixels: [4 * COLUMNS, HEIGHT],
    channels: 4 * GROUPS,
  };
}

const SHAPES: readonly Shape[] = [
  [8, 32, 32, 128, 128],
  [1, 96, 96, 32, 32],
  [2, 3, 32, 64, 64],
  [8, 32, 1, 128, 128],
  [16, 64, 64, 8, 8],
  [3, 5, 7, 9, 4],
  [1, 2, 3, 1, 4],
  [2, 32, 2, 200, 12],
  [1, 512, 512, 16, 16],
];

Deno.test("GPUs take large tiles where these keep them busy, else small ones first", () => {
  const large = variants([8, 32, 32, 128, 128]);
  assert.deepEqual(names(large.forward).slice(0, 3), ["tiled", "small_tiles", "implicit_gemm"]);
  assert.deepEqual(names(large.data).slice(0, 3), ["tiled", "small_tiles", "implicit_gemm"]);
  assert.deepEqual(names(large.weight).slice(0, 2), ["tiled", "implicit_gemm"]);
  assert.deepEqual(names(large.normalised), ["tiled", "small_tiles", "one after the other"]);
  const small = variants([1, 96, 96, 32, 32]);
  assert.deepEqual(names(small.forward).slice(0, 3), ["small_tiles", "tiled", "implicit_gemm"]);
  assert.deepEqual(names(small.normalised), ["small_tiles", "tiled", "one after the other"]);
  assert.ok(!/tile/.test(names(variants([8, 32, 32, 128, 128], SOFTWARE).forward)[0]));
});

Deno.test("tiles cover the image and fit into what WebGPU promises", () => {
  for (const shape of SHAPES) {
    const [n, ci, co, h, w] = shape;
    const all = variants(shape, MINIMUM);
    for (const [kind, list] of Object.entries(all)) {
      const tiled = list.filter((v) => TILED.test(v.name));
      assert.ok(kind === "normalised" || tiled.length > 0, `${kind} ${shape}`);
      for (const variant of tiled) {
        const { bytes, invocations, workgroups, pixels, channels } = costOf(variant);
        const what = `${kind} ${variant.name} of ${shape}`;
        assert.ok(bytes <= 16384, `${what}: ${bytes} bytes of workgroup memory`);
        assert.ok(invocations <= 256, `${what}: ${invocations} invocations`);
        assert.ok(workgroups.every((d) => d <= 65535), what);
        if (!pixels) continue;
        const [across, down] = [Math.ceil(w / pixels[0]), Math.ceil(h / pixels[1])];
        const outputs = kind === "data" ? ci : co;
        assert.deepEqual(workgroups, [Math.ceil(outputs / channels!), across * down, n], what);
      }
    }
  }
});

Deno.test("slices of the weight gradient are all rows of all images, in bounded memory", () => {
  for (const shape of [...SHAPES, [41, 128, 128, 2, 4], [64, 512, 512, 8, 8]] as const) {
    const [n, ci, co, h, w] = shape;
    const variant = variants(shape).weight.find((v) => v.name === "tiled")!;
    const { scratch, calls: [sums, total] } = variant.build();
    const { strips, images, rows, row_chunks, row } = sums.params as Record<string, number>;
    const columns = (sums.constants as Record<string, number>).COLUMNS;
    assert.ok(strips * columns * 4 >= w && (strips - 1) * columns * 4 < w, `${shape}`);
    assert.ok(row_chunks * rows >= h && (row_chunks - 1) * rows < h, `${shape}: rows`);
    assert.ok(rows * images <= 128 || images === 1, `${shape}: ${rows} rows of ${images} images`);
    assert.ok(rows <= 128, `${shape}: ${rows} rows`);
    const slices = strips * Math.ceil(n / images) * row_chunks;
    assert.equal(sums.workgroups[2], slices);
    assert.equal(total.params!.slices, slices);
    assert.equal(scratch![0], slices * co * row * 4);
    assert.ok(row >= 9 * ci && row < 9 * ci + 4);
    assert.ok(scratch![0] <= 2 ** 26, `${shape}: ${scratch![0]} bytes of partial sums`);
  }
});

Deno.test("where a device has too few workgroups or buffers, others are left", () => {
  const few = { ...GPU, limits: { ...GPU.limits, maxComputeWorkgroupsPerDimension: 100 } };
  const all = variants([8, 32, 32, 128, 128], few);
  assert.ok(!names(all.forward).some((name) => TILED.test(name)));
  assert.deepEqual(names(variants([101, 8, 8, 8, 8], few).weight).slice(0, 1), ["implicit_gemm"]);
  assert.deepEqual(names(variants([8, 32, 32, 128, 128], MINIMUM).normalised), [
    "one after the other",
  ]);
  // Rows that are no whole vec4s.
  assert.deepEqual(names(variants([2, 4, 4, 9, 17]).forward).slice(0, 1), ["implicit_gemm"]);
});

Deno.test("Winograd on GPUs comes last, with grids that WebGPU promises and bounded memory", () => {
  for (const shape of [...SHAPES, [64, 512, 512, 8, 8], [8, 96, 32, 128, 128]] as const) {
    const { forward, data, weight } = variants(shape, MINIMUM);
    const [n, ci, co, h, w] = shape;
    const image = 36 * 16 * Math.ceil(h / 4) * Math.ceil(w / 16) * Math.max(ci, co);
    for (const [list, sums] of [[forward, false], [data, false], [weight, true]] as const) {
      const at = list.findIndex((v) => v.name === "winograd_f4_tiled");
      const gpuNames = /^((small_)?tile|implicit_gemm)/;
      assert.ok(at > Math.max(...names(list).flatMap((s, i) => gpuNames.test(s) ? i : [])));
      const { calls, scratch } = list[at].build();
      for (const { workgroups, note } of calls) {
        assert.ok(workgroups.every((d) => d >= 1 && d <= 65535), `${note} of ${shape}`);
      }
      // Transforms of some images, each rounded up by less than a group and the padding of 36 planes.
      const most = Math.max(2 ** 24, image) + 36 * 16 * (20 + 16 * Math.max(ci, co));
      const [a, b] = sums ? [scratch![0], scratch![1]] : [scratch![1], scratch![2]];
      assert.ok(a <= most && b <= most, `${shape}: ${a}, ${b} bytes of transforms`);
      const chunks = calls.filter((c) => c.note === "transform input").length;
      assert.ok(chunks <= n);
      if (!sums) continue;
      const size = scratch![3];
      assert.ok(scratch![2] <= Math.max(2 ** 26, chunks * size), `${shape}: ${scratch![2]}`);
      assert.equal(calls.find((c) => c.note === "sum")!.params!.slices, scratch![2] / size);
    }
  }
});

Deno.test("a step on a GPU copies nothing to textures", () => {
  for (const kind of ["train", "sample"] as const) {
    const { plan } = auditedStep(kind, "seed", presetConfig("seed"), GPU);
    assert.deepEqual(plan.textures, []);
    assert.ok(plan.dispatches.every(({ stage }) => stage.length === 0));
  }
});
