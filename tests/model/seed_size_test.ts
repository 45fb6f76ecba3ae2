/** The seed model (1.69 M parameters) beside PyTorch in float64, without ../shared: weights by a formula. */

import assert from "node:assert/strict";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { unet2DConfig } from "../../lib/nn/config.ts";
import { zeroGradients } from "../../lib/nn/lost.ts";
import { FlatParameters } from "../../lib/nn/parameters.ts";
import { unet2D, unet2DParameters } from "../../lib/nn/unet_2d.ts";
import { mse } from "../../lib/ops/mse/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { pack } from "../../lib/ops/view/op.ts";
import { relative } from "../../lib/verify/case.ts";
import { tolerances } from "../../lib/verify/tolerances.ts";
import { uniforms } from "../metrics/shared.ts";
import reference from "../fixtures/reference/unet-seed-size.json" with { type: "json" };

const SKETCHES = 4;
const config = unet2DConfig(reference.config, "unet-seed-size.json");
const layout = unet2DParameters(config);
const names = layout.specs.map(({ name }) => name).sort();
const [height, width] = reference.config.sample_size;

const signed = (count: number, seed: number) => uniforms(count, seed).map((u) => 2 * u - 1);

/** As in tests/reference/make_seed_size.py. */
function weights(name: string, shape: readonly number[], seed: number): Float32Array {
  const count = shape.reduce((a, b) => a * b, 1), u = signed(count, seed);
  if (shape.length > 1) {
    const scale = Math.sqrt(3 / (count / shape[0]));
    return Float32Array.from(u, (v) => v * scale);
  }
  const isScale = name.includes("norm") && name.endsWith("weight");
  return Float32Array.from(u, (v) => isScale ? 1 + 0.1 * v : 0.1 * v);
}

function parameters(): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(layout.size);
  for (const { name, shape, offset } of layout.specs) {
    flat.set(weights(name, shape, 100 + names.indexOf(name)), offset);
  }
  return flat;
}

/**
 * How far a gradient is from the reference's, over its norm: by products with vectors whose values are
 * uniform in [−1, 1], so that √3 times the difference is as large as that of the gradients, on average.
 */
function sketchError(gradient: Float32Array, sketch: readonly number[], i: number): number {
  const [norm, ...products] = sketch;
  const squares = products.map((product, k) => {
    const r = signed(gradient.length, 1000 + SKETCHES * i + k);
    let own = 0;
    gradient.forEach((v, j) => own += v * r[j]);
    return 3 * (own - product) ** 2;
  });
  return Math.sqrt(squares.reduce((a, b) => a + b, 0) / SKETCHES) / norm;
}

Deno.test("the seed model: output, loss and every gradient as PyTorch has them; a wrong weight shows", async () => {
  assert.deepEqual(names, Object.keys(reference.gradients).sort());
  assert.ok(layout.specs.reduce((sum, s) => sum + s.shape.reduce((a, b) => a * b, 1), 0) > 1.6e6);
  const graph = new Graph(), plane = height * width;
  const sample = graph.input("sample", { shape: [2, 3, height, width], dtype: "f32" });
  const timestep = graph.input("timestep", { shape: [2], dtype: "i32" });
  const target = graph.input("target", { shape: [2, 1, height, width], dtype: "f32" });
  const state = graph.state("params", { shape: [layout.size], dtype: "f32" });
  const source = new FlatParameters(state, layout);
  const y = unet2D(config, source, sample, timestep), loss = mse(y, target);
  const one = graph.input("one", loss);
  const wrt = layout.specs.map((s) => source.views.get(s.name)!);
  const [ofSample, ...rest] = gradients(graph, OPS, loss, one, [sample, ...wrt]);
  graph.output("y", y);
  graph.output("loss", loss);
  graph.output("sample_gradient", ofSample);
  graph.output("gradients", pack(rest, layout.specs.map((s) => s.offset), layout.size));
  const gpu = await openGpu();
  const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile, exact: true }));
  const params = parameters();
  exe.write("sample", Float32Array.from(signed(6 * plane, 1)));
  exe.write("target", Float32Array.from(signed(2 * plane, 2)));
  exe.write("timestep", Int32Array.of(7, 801));
  exe.write("one", Float32Array.of(1));
  exe.write("params", params);
  exe.run();
  const allowed = tolerances("f32");
  const output = relative(await exe.read("y"), reference.output);
  assert.ok(output <= allowed.output, `output: ${output}`);
  const found = relative(await exe.read("loss"), [reference.loss]);
  assert.ok(found <= allowed.output, `loss: ${found}`);
  const all = await exe.read("gradients") as Float32Array;
  const zero = zeroGradients(config, height, width).parameters;
  for (const [i, name] of names.entries()) {
    const gradient = layout.part(all, name) as Float32Array;
    const sketch = reference.gradients[name as keyof typeof reference.gradients];
    if (zero.has(name)) {
      const worst = gradient.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
      assert.ok(worst <= allowed.zeroGradient, `${name}: ${worst}`);
      continue;
    }
    // Four products say how large a difference is to within a factor of two or so.
    const error = sketchError(gradient, sketch, i);
    assert.ok(error <= 2 * allowed.gradient, `${name}: ${error}`);
  }
  const own = await exe.read("sample_gradient") as Float32Array;
  const error = sketchError(own, reference.sample_gradient, names.length);
  assert.ok(error <= 2 * allowed.gradient, `sample: ${error}`);

  const { offset } = layout.specs.find((s) => s.name === "mid_block.resnets.0.conv1.weight")!;
  params[offset + 5] += 1;
  exe.write("params", params);
  exe.run();
  assert.ok(relative(await exe.read("y"), reference.output) > 10 * allowed.output);
  exe.destroy();
  gpu.destroy();
});
