/** Runs an op's cases: GPU against the float64 reference, gradient against finite differences. */

import { gradients } from "../../lib/graph/autograd.ts";
import { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { Fill, OpCase, OpDef, Variant } from "../../lib/graph/op.ts";
import { sizeOf, type Tensor, type TensorType } from "../../lib/graph/tensor.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { plan } from "../../lib/gpu/planner.ts";
import { Executable, type TypedData } from "../../lib/gpu/runtime.ts";
import { OPS } from "../../lib/ops/mod.ts";

/** Mulberry32: small, seeded, good enough to fill test tensors. */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function normal(rng: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng());
}

/** Values of an input, already rounded to its dtype. */
export function fillInput(type: TensorType & { fill?: Fill }, rng: () => number): Float64Array {
  const fill = type.fill ??
    (type.dtype === "f32" || type.dtype === "f16"
      ? { kind: "normal" } as const
      : { kind: "integers", low: 0, high: 1000 } as const);
  const values = new Float64Array(sizeOf(type.shape));
  for (let i = 0; i < values.length; i++) {
    switch (fill.kind) {
      case "normal":
        values[i] = (fill.mean ?? 0) + (fill.std ?? 1) * normal(rng);
        break;
      case "uniform":
        values[i] = fill.low + (fill.high - fill.low) * rng();
        break;
      case "constant":
        values[i] = fill.value;
        break;
      case "integers":
        values[i] = fill.low + Math.floor((fill.high - fill.low) * rng());
        break;
      case "values":
        values[i] = fill.values[i % fill.values.length];
    }
  }
  return type.dtype === "f32" ? values.map(Math.fround) : values;
}

export function typed(values: Float64Array, dtype: TensorType["dtype"]): TypedData {
  if (dtype === "i32") return Int32Array.from(values);
  if (dtype === "u32") return Uint32Array.from(values);
  return Float32Array.from(values);
}

/** ‖a − b‖ / ‖b‖; NaN anywhere gives Infinity; b = 0 gives ‖a‖. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let difference = 0, norm = 0;
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  const error = Math.sqrt(difference) / (norm > 0 ? Math.sqrt(norm) : 1);
  return Number.isFinite(error) ? error : Infinity;
}

function build(def: OpDef, test: OpCase) {
  const graph = new Graph();
  const shared = new Set(Object.values(def.inPlace ?? {}));
  const inputs = test.inputs.map((type, i) =>
    shared.has(i) ? graph.state(`in${i}`, type) : graph.input(`in${i}`, type)
  );
  const outputs = graph.append(def, inputs, test.attrs);
  outputs.forEach((t, i) => {
    const j = def.inPlace?.[i];
    if (j === undefined) graph.output(`out${i}`, t);
    else graph.update(`in${j}`, t);
  });
  return { graph, inputs, outputs };
}

export interface CaseResult {
  readonly variant: string;
  readonly output: number;
  readonly error: number;
}

/** Runs every variant of a case on the GPU (arena poisoned); relative error of each output. */
export async function runCase(gpu: Gpu, def: OpDef, test: OpCase): Promise<CaseResult[]> {
  const { graph, outputs } = build(def, test);
  const rng = random(7);
  const feeds: Record<string, Float64Array> = {};
  test.inputs.forEach((type, i) => feeds[`in${i}`] = fillInput(type, rng));
  const expected = interpret(graph, OPS, feeds);
  const variants: Variant[] = def.lower({
    inputs: test.inputs,
    outputs: outputs[0].node.outputs,
    attrs: test.attrs,
    device: gpu.profile,
  });
  const results: CaseResult[] = [];
  for (const { name: variant } of variants) {
    const choose = (_: unknown, all: readonly Variant[]) => all.find((v) => v.name === variant)!;
    const exe = await Executable.load(gpu, plan(graph, OPS, { device: gpu.profile, choose }), {
      poison: true,
    });
    test.inputs.forEach((type, i) => exe.write(`in${i}`, typed(feeds[`in${i}`], type.dtype)));
    exe.run();
    for (const [i, t] of outputs.entries()) {
      const j = def.inPlace?.[i];
      const bytes = await exe.readBytes(j === undefined ? `out${i}` : `in${j}`);
      const got = t.dtype === "i32"
        ? new Int32Array(bytes)
        : t.dtype === "u32"
        ? new Uint32Array(bytes)
        : new Float32Array(bytes);
      results.push({ variant, output: i, error: relativeError(got, expected.value(t)) });
    }
    exe.destroy();
  }
  return results;
}

/**
 * Largest relative gap between the vjp and central differences, both in float64, along random
 * directions of all float inputs that have a gradient.
 */
export function gradientError(def: OpDef, test: OpCase, directions = 3): number {
  const { graph, inputs, outputs } = build(def, test);
  const rng = random(11);
  const feeds: Record<string, Float64Array> = {};
  test.inputs.forEach((type, i) => feeds[`in${i}`] = fillInput(type, rng));

  // L = Σ r·y over the first output, so that dL/dy = r.
  const y = outputs[0];
  const seed = graph.input("seed", y);
  const r = fillInput({ shape: y.shape, dtype: "f32" }, rng);
  const wrt = inputs.filter((t) => t.dtype === "f32");
  const grads: (Tensor | undefined)[] = [];
  const kept: Tensor[] = [];
  for (const t of wrt) {
    try {
      grads.push(gradients(graph, OPS, y, seed, [t])[0]);
      kept.push(t);
    } catch (error) {
      if (!/no influence/.test((error as Error).message)) throw error;
    }
  }
  const loss = (changed: Record<string, Float64Array>) => {
    const value = interpret(graph, OPS, { ...changed, seed: r }).value(y);
    return value.reduce((sum, v, i) => sum + v * r[i], 0);
  };
  const base = interpret(graph, OPS, { ...feeds, seed: r });
  let worst = 0;
  for (let d = 0; d < directions; d++) {
    const step = 1e-5;
    let analytic = 0, magnitude = 0;
    const [plus, minus] = [{ ...feeds }, { ...feeds }];
    kept.forEach((t, k) => {
      const name = t.node.attrs.name as string;
      const direction = Float64Array.from({ length: t.size }, () => normal(rng));
      const g = base.value(grads[k]!);
      direction.forEach((v, i) => {
        analytic += v * g[i];
        magnitude += (v * g[i]) ** 2;
      });
      plus[name] = feeds[name].map((v, i) => v + step * direction[i]);
      minus[name] = feeds[name].map((v, i) => v - step * direction[i]);
    });
    const numeric = (loss(plus) - loss(minus)) / (2 * step);
    worst = Math.max(worst, Math.abs(numeric - analytic) / Math.max(Math.sqrt(magnitude), 1e-12));
  }
  return worst;
}
