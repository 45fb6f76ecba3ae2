/** Kind `unet`: forward pass, loss, every gradient. */

import { gradients } from "../graph/autograd.ts";
import { Graph } from "../graph/graph.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../gpu/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { withPrecision } from "../graph/precision.ts";
import { unet2DConfig } from "../nn/config.ts";
import { FlatParameters } from "../nn/parameters.ts";
import { flattenParameters } from "../nn/state_dict.ts";
import { unet2D, unet2DParameters } from "../nn/unet_2d.ts";
import { mse } from "../ops/mse.ts";
import { OPS } from "../ops/mod.ts";
import { pack } from "../ops/view.ts";
import {
  absolute,
  type Check,
  distance,
  floats,
  ints,
  type ReferenceCase,
  relative,
  tensorOf,
  type VerifyOptions,
} from "./case.ts";
import { PARAMETERS, tolerances } from "./tolerances.ts";

export async function verifyUnet(
  gpu: Gpu,
  reference: ReferenceCase,
  { exact, choose, precision = "f32" }: VerifyOptions,
): Promise<Check[]> {
  const allowed = tolerances(precision);
  const config = unet2DConfig(reference.config, reference.file);
  const layout = unet2DParameters(config);
  const params = flattenParameters(layout, reference.tensors, reference.file, PARAMETERS);

  const graph = new Graph();
  const { shape } = tensorOf(reference, "input.sample");
  const sample = graph.input("sample", { shape, dtype: "f32" });
  const timestep = graph.input("timestep", { shape: [shape[0]], dtype: "i32" });
  const targetShape = tensorOf(reference, "target").shape;
  const target = graph.input("target", { shape: targetShape, dtype: "f32" });
  const source = new FlatParameters(
    graph.state("params", { shape: [layout.size], dtype: "f32" }),
    layout,
  );
  const y = unet2D(config, source, sample, timestep);
  const loss = mse(y, target);
  const one = graph.input("loss_gradient", loss);
  const wrt = layout.specs.map((s) => source.views.get(s.name)!);
  const [ofSample, ...ofParameters] = gradients(graph, OPS, loss, one, [sample, ...wrt]);
  graph.output("y", y);
  graph.output("loss", loss);
  graph.output("grad.sample", ofSample);
  graph.output("grads", pack(ofParameters, layout.specs.map((s) => s.offset), layout.size));

  const stored = withPrecision(graph, OPS, precision, gpu.profile);
  const executable = await Executable.load(
    gpu,
    plan(stored, OPS, { device: gpu.profile, exact, choose }),
    { poison: true },
  );
  executable.write("params", params);
  executable.write("sample", floats(reference, "input.sample"));
  executable.write("timestep", ints(reference, "input.timestep"));
  executable.write("target", floats(reference, "target"));
  const scale = precision === "f16" ? LOSS_SCALE : 1;
  executable.write("loss_gradient", new Float32Array([scale]));
  executable.run();
  const out = async (name: string) => await executable.read(name);

  const checks: Check[] = [
    relativeCheck(
      "output.sample",
      await out("y"),
      floats(reference, "output.sample"),
      allowed.output,
    ),
    relativeCheck("loss", await out("loss"), floats(reference, "loss"), allowed.output),
  ];
  const flat = (await out("grads")).map((v) => v / scale);
  const inputGradient = (await out("grad.sample")).map((v) => v / scale);
  let [difference, norm] = [0, 0];
  const compare = (name: string, got: Float32Array) => {
    const expected = floats(reference, name);
    const [d, n] = distance(got, expected);
    difference += d;
    norm += n;
    if (Math.sqrt(n) < ZERO_NORM) {
      const tolerance = allowed.zeroGradient;
      checks.push({ name, error: absolute(got, expected), tolerance, measure: "absolute" });
    } else checks.push(relativeCheck(name, got, expected, allowed.gradient));
  };
  for (const { name } of layout.specs) compare(`grad.${name}`, layout.part(flat, name));
  compare("grad.input.sample", inputGradient);
  const all = Math.sqrt(difference / norm);
  checks.push({
    name: "all gradients",
    error: Number.isFinite(all) ? all : Infinity,
    tolerance: allowed.gradients,
    measure: "relative",
  });
  executable.destroy();
  return checks;
}

/** Gradients that are zero in exact arithmetic have reference norms below 1e-15. */
const ZERO_NORM = 1e-12;
/** With f16, so that gradients are not too small for it. */
const LOSS_SCALE = 1024;

function relativeCheck(
  name: string,
  got: Float32Array,
  expected: Float32Array,
  tolerance: number,
): Check {
  return { name, error: relative(got, expected), tolerance, measure: "relative" };
}
