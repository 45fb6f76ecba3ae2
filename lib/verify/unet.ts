/** Kind `unet`: forward pass, loss, every gradient. */

import { gradients } from "../graph/autograd.ts";
import { Graph } from "../graph/graph.ts";
import { interpret, type Interpretation } from "../graph/interpret.ts";
import type { Gpu } from "../gpu/device.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { withPrecision } from "../passes/precision.ts";
import { unet2DConfig } from "../nn/config.ts";
import { FlatParameters } from "../nn/parameters.ts";
import { zeroGradients } from "../nn/lost.ts";
import { flattenParameters } from "../nn/state_dict.ts";
import { unet2D, unet2DParameters } from "../nn/unet_2d.ts";
import { mse } from "../ops/mse/op.ts";
import { OPS } from "../ops/mod.ts";
import { pack } from "../ops/view/op.ts";
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
import { withRounding } from "./rounding.ts";
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

  const zero = zeroGradients(config, shape[2], shape[3]);
  const grads = (await out("grads")).map((v) => v / scale);
  const parts: Part[] = [
    { name: "output.sample", got: await out("y"), of: (run) => run.outputs.get("y")! },
    { name: "loss", got: await out("loss"), of: (run) => run.outputs.get("loss")! },
    ...layout.specs.map(({ name }) => ({
      name: `grad.${name}`,
      got: layout.part(grads, name),
      of: (run: Interpretation) => layout.part(run.outputs.get("grads")!, name),
      isZero: zero.parameters.has(name),
    })),
    {
      name: "grad.input.sample",
      got: (await out("grad.sample")).map((v) => v / scale),
      of: (run) => run.outputs.get("grad.sample")!,
      isZero: zero.sample,
    },
  ];
  executable.destroy();
  const expected = new Map(parts.map(({ name }) => [name, floats(reference, name)]));
  const gradientParts = parts.filter(({ name }) => name.startsWith("grad."));
  const errors = (of: Values, goal: Values) => [
    ...parts.map((part) => (part.isZero ? absolute : relative)(of(part), goal(part))),
    together(gradientParts.map((part) => [of(part), goal(part)])),
  ];
  const wanted: Values = ({ name }) => expected.get(name)!;
  const found = errors(({ got }) => got, wanted);
  const checks = parts.map(({ name, isZero }, i): Check => ({
    name,
    error: found[i],
    tolerance: isZero
      ? allowed.zeroGradient
      : name.startsWith("grad.")
      ? allowed.gradient
      : allowed.output,
    measure: isZero ? "absolute" : "relative",
  }));
  checks.push({
    name: "all gradients",
    error: found.at(-1)!,
    tolerance: allowed.gradients,
    measure: "relative",
  });
  if (precision !== "f32" || checks.every((c) => c.error <= c.tolerance)) return checks;
  const feeds = {
    params,
    sample: floats(reference, "input.sample"),
    timestep: ints(reference, "input.timestep"),
    target: floats(reference, "target"),
    loss_gradient: [1],
  };
  return withRounding(
    checks,
    (after) => interpret(graph, OPS, feeds, after),
    (run, goal) => errors(({ of }) => of(run), goal ? ({ of }) => of(goal) : wanted),
  );
}

type Values = (part: Part) => ArrayLike<number>;

/** What is compared, and the same in a run of the graph on the CPU. */
interface Part {
  readonly name: string;
  readonly got: Float32Array;
  readonly of: (run: Interpretation) => ArrayLike<number>;
  readonly isZero?: boolean;
}

/** The relative error of many tensors taken as one. */
function together(pairs: readonly (readonly [ArrayLike<number>, ArrayLike<number>])[]): number {
  const parts = pairs.map(([a, b]) => distance(a, b));
  const [difference, norm] = [0, 1].map((i) => parts.reduce((sum, part) => sum + part[i], 0));
  const error = Math.sqrt(difference / norm);
  return Number.isFinite(error) ? error : Infinity;
}

/** With f16, so that gradients are not too small for it. */
const LOSS_SCALE = 1024;
