/**
 * Every op that PyTorch has too, against what PyTorch computes in float64 (tests/reference/make_ops.py):
 * the float64 references to rounding, the GPU to float32's.
 */

import assert from "node:assert/strict";
import { join } from "node:path";
import { readSafetensors } from "../../lib/io/safetensors_file.ts";
import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { DType, Tensor } from "../../lib/graph/tensor.ts";
import { openGpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/plan/planner.ts";
import { Executable } from "../../lib/gpu/runtime.ts";
import { attention } from "../../lib/ops/attention/op.ts";
import { addChannel } from "../../lib/ops/channel/op.ts";
import { concat } from "../../lib/ops/concat/op.ts";
import { conv2d } from "../../lib/ops/conv2d/op.ts";
import { qSample } from "../../lib/ops/diffusion/op.ts";
import { guidance } from "../../lib/ops/guidance/op.ts";
import { timestepEmbedding } from "../../lib/ops/embedding/op.ts";
import { groupNorm } from "../../lib/ops/group_norm/op.ts";
import { linear } from "../../lib/ops/linear/op.ts";
import { OPS } from "../../lib/ops/mod.ts";
import { mse } from "../../lib/ops/mse/op.ts";
import { adamw } from "../../lib/ops/optimizer/op.ts";
import { ADAMW_HYPER } from "../../lib/ops/optimizer/shared.ts";
import { silu } from "../../lib/ops/silu/op.ts";
import { upsampleNearest2x } from "../../lib/ops/upsample/op.ts";
import { view } from "../../lib/ops/view/op.ts";
import { adamwHyper } from "../../lib/train/adamw.ts";
import { relativeError, typed } from "./harness.ts";

const FILE = join(import.meta.dirname!, "../fixtures/reference/ops.safetensors");
const file = await readSafetensors(FILE);

interface Options {
  readonly op: string;
  // deno-lint-ignore no-explicit-any
  readonly [name: string]: any;
}
const CONFIG: Record<string, Options> = JSON.parse(file.metadata.config);

/** Checked below (adamw, ema), or an op that the project does without (multiply). */
const NOT_HERE = ["adamw", "ema", "multiply"];

type Inputs = Record<string, Tensor>;
type Build = (inputs: Inputs, options: Options) => Tensor;

const norm = (useSilu: boolean): Build => ({ input, weight, bias }, { groups, eps }) =>
  groupNorm(input, weight, bias, { groups, eps, silu: useSilu });

/** The fixtures' input names, in the order in which they are passed. */
const BUILDERS: Record<string, Build> = {
  conv2d({ input, weight, bias }, { stride, padding: [left, right, top, bottom] }) {
    return conv2d(input, weight, { bias, stride, padding: [top, left, bottom, right] });
  },
  group_norm: norm(false),
  group_norm_silu: norm(true),
  linear({ input, weight, bias }) {
    if (input.shape.length === 2) return linear(input, weight, bias);
    const [n, t, k] = input.shape;
    return view(linear(view(input, [n * t, k]), weight, bias), [n, t, weight.shape[0]]);
  },
  attention: ({ query, key, value }, { heads }) => attention(query, key, value, { heads }),
  silu: ({ input }) => silu(input),
  add_channels: ({ input, channels }) => addChannel(input, channels),
  upsample_nearest: ({ input }) => upsampleNearest2x(input),
  concat: ({ a, b, c }) => concat(c ? [a, b, c] : [a, b], 1),
  mse: ({ input, target }) => mse(input, target),
  timestep_embedding: ({ timesteps }, { dim, flip_sin_to_cos, freq_shift }) =>
    timestepEmbedding(timesteps, {
      dim,
      flipSinToCos: flip_sin_to_cos,
      downscaleFreqShift: freq_shift,
    }),
  q_sample: ({ sample, noise, timesteps, table }) => qSample(sample, noise, timesteps, table),
  guidance: ({ both, scale }) => guidance(both, scale),
};

interface Value {
  shape: number[];
  dtype: DType;
  data: Float64Array;
}

/** Tensors of a case by name, with those that our ops want in another form. */
function valuesOf(name: string, options: Options): Record<string, Value> {
  const values: Record<string, Value> = {};
  for (const [key, { dtype, shape, data }] of file.tensors) {
    const [of, part] = key.split(".");
    if (of !== name) continue;
    const kind = dtype === "I32" ? "i32" : "f32";
    values[part] = { shape, dtype: kind, data: Float64Array.from(data as Float64Array) };
  }
  if (options.op === "q_sample") {
    const { data } = values.alphas_cumprod;
    const table = Array.from(data).flatMap((a) => [Math.sqrt(a), Math.sqrt(1 - a)]);
    values.table = { shape: [data.length, 2], dtype: "f32", data: Float64Array.from(table) };
    delete values.alphas_cumprod;
  }
  if (options.op === "guidance") {
    const { conditional: c, unconditional: u } = values;
    const shape = [2 * c.shape[0], ...c.shape.slice(1)];
    values.both = { shape, dtype: "f32", data: Float64Array.from([...c.data, ...u.data]) };
    values.scale = { shape: [1], dtype: "f32", data: Float64Array.of(options.scale) };
    delete values.conditional;
    delete values.unconditional;
  }
  return values;
}

function build(name: string) {
  const options = CONFIG[name];
  const values = valuesOf(name, options);
  const isResult = (part: string) => part === "output" || /^grad_(?!output)/.test(part);
  const graph = new Graph();
  const tensors: Inputs = {};
  const feeds: Record<string, Float64Array> = {};
  for (const [part, { shape, dtype, data }] of Object.entries(values)) {
    if (isResult(part)) continue;
    tensors[part] = graph.input(part, { shape, dtype });
    feeds[part] = data;
  }
  const { grad_output: seed, ...inputs } = tensors;
  const output = BUILDERS[options.op](inputs, options);
  graph.output("output", output);
  if (seed) {
    const wrt = Object.entries(inputs);
    const grads = gradients(graph, OPS, output, seed, wrt.map(([, t]) => t));
    wrt.forEach(([part], i) => graph.output(`grad_${part}`, grads[i]));
  }
  return { graph, values, feeds };
}

/** Zero by construction, such as the gradients of a group norm of constants: by absolute size. */
function errorOf(got: ArrayLike<number>, want: Float64Array, scale: number): number {
  if (Math.hypot(...want) < 1e-9 * scale) return Math.hypot(...Array.from(got)) / scale;
  return relativeError(got, want);
}

const sizeOfResults = (values: Record<string, Value>) =>
  Math.max(1, ...["output", "grad_input"].map((n) => Math.hypot(...(values[n]?.data ?? []))));

for (const [name, { op }] of Object.entries(CONFIG)) {
  if (NOT_HERE.includes(op)) continue;
  Deno.test(`${name}: float64 reference against PyTorch`, () => {
    const { graph, values, feeds } = build(name);
    const { outputs } = interpret(graph, OPS, feeds);
    // Timestep embeddings are float32 in the fixture; q_sample's as far as 1 − ᾱ in float32 is.
    const tolerance = { timestep_embedding: 2e-7, q_sample: 1e-7 }[op] ?? 1e-10;
    for (const [part, got] of outputs) {
      const error = errorOf(got, values[part].data, sizeOfResults(values));
      assert.ok(error <= tolerance, `${part}: relative error ${error.toExponential(2)}`);
    }
  });
}

Deno.test("every op on the GPU against PyTorch", async (t) => {
  const gpu = await openGpu();
  for (const [name, { op }] of Object.entries(CONFIG)) {
    if (NOT_HERE.includes(op)) continue;
    await t.step(name, async () => {
      const { graph, values, feeds } = build(name);
      const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }), {
        poison: true,
      });
      for (const [part, data] of Object.entries(feeds)) {
        exe.write(part, typed(data, values[part].dtype));
      }
      exe.run();
      // With a mean of 1000 the stored float32 mean is off by up to 2^-15 standard deviations.
      // Scores of the large attention case reach the hundreds, and exp multiplies their rounding.
      const tolerance = /large/.test(name) ? 6e-5 : 2e-6;
      for (const part of graph.outputs.keys()) {
        const got = await exe.read(part);
        const error = errorOf(got, values[part].data, sizeOfResults(values));
        assert.ok(error <= tolerance, `${part}: relative error ${error.toExponential(2)}`);
      }
      exe.destroy();
    });
  }
  gpu.destroy();
});

/** Steps of AdamW, or of the EMA alone, from the recorded start; states after each step. */
function* optimizerSteps(name: string) {
  const options = CONFIG[name];
  const values = valuesOf(name, options);
  const isEma = options.op === "ema";
  const { shape, data: start } = values[isEma ? "ema" : "param"];
  const rows = (part: string, i: number) =>
    values[part].data.subarray(i * start.length, (i + 1) * start.length);
  const graph = new Graph();
  const flat = { shape, dtype: "f32" } as const;
  const g = graph.input("g", flat);
  const hyper = graph.input("hyper", { shape: [ADAMW_HYPER], dtype: "f32" });
  const names = ["p", "m", "v", "ema"];
  const [param, m, v, ema] = names.map((n) => graph.state(n, flat));
  adamw(g, hyper, [param, m, v, ema]).forEach((t, i) => graph.update(names[i], t));
  const zero = new Float64Array(start.length);
  let states: Record<string, Float64Array> = { p: start, m: zero, v: zero, ema: start };
  for (let i = 0; i < values.output.shape[0]; i++) {
    const adam = {
      lr: isEma ? 0 : options.lr[i],
      betas: options.betas ?? [0.9, 0.999],
      eps: options.eps ?? 1e-8,
      weightDecay: options.weight_decay ?? 0,
    };
    if (isEma) states = { ...states, p: rows("params", i) };
    const feeds = {
      g: isEma ? zero : rows("grads", i),
      hyper: Float64Array.from(adamwHyper(adam, i + 1, options.decay ?? 0.999, !isEma)),
    };
    yield {
      graph,
      feeds: { ...feeds, ...states },
      want: isEma
        ? { ema: rows("output", i) }
        : { p: rows("output", i), m: rows("exp_avg", i), v: rows("exp_avg_sq", i) },
    };
    states = Object.fromEntries(interpret(graph, OPS, { ...feeds, ...states }).states);
  }
}

// The hyper-parameters reach the device as float32 and are off by up to 2^-25 each.
for (const [name, { op }] of Object.entries(CONFIG)) {
  if (op !== "adamw" && op !== "ema") continue;
  Deno.test(`${name}: float64 reference and GPU against PyTorch`, async () => {
    const gpu = await openGpu();
    let exe: Executable | undefined;
    for (const { graph, feeds, want } of optimizerSteps(name)) {
      const { states } = interpret(graph, OPS, feeds);
      exe ??= await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile }));
      for (const [part, data] of Object.entries(feeds)) exe.write(part, typed(data, "f32"));
      exe.run();
      for (const [part, data] of Object.entries(want)) {
        const errors = [states.get(part)!, await exe.read(part)].map((x) => relativeError(x, data));
        assert.ok(Math.max(...errors) <= 3e-7, `${part}: relative errors ${errors}`);
      }
    }
    exe?.destroy();
    gpu.destroy();
  });
}
