/** Runs an op's cases: GPU against the float64 reference, gradient against finite differences. */

import { gradients } from "../../lib/graph/autograd.ts";
import type { Graph } from "../../lib/graph/graph.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import type { OpCase, OpDef } from "../../lib/graph/op.ts";
import { sourceName, type Tensor } from "../../lib/graph/tensor.ts";
import {
  caseGraph,
  casePlans,
  fillInput,
  normal,
  prepareCase,
  random,
  runCasePlan,
} from "../../lib/audit/cases.ts";
import type { Gpu } from "../../lib/gpu/device.ts";
import { OPS } from "../../lib/ops/mod.ts";

export { fillInput, normal, random } from "../../lib/audit/cases.ts";
export { encode as typed } from "../../lib/gpu/data.ts";

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

/** Values for all of a graph's inputs, of both signs and no pattern. */
export function feedsOf(graph: Graph): Record<string, Float32Array<ArrayBuffer>> {
  let seed = 1;
  return Object.fromEntries(
    [...graph.inputs].map(([name, t]) => [
      name,
      Float32Array.from({ length: t.size }, () => Math.sin(seed++ * 1.7)),
    ]),
  );
}

export interface CaseResult {
  readonly variant: string;
  readonly output: number;
  readonly error: number;
  /** What the case allows this variant. */
  readonly tolerance: number;
}

/**
 * Runs every variant of a case on the GPU: memory poisoned, guards behind every tensor, grids also
 * folded. Relative error of each output; Infinity where a guard was written to.
 */
export async function runCase(gpu: Gpu, def: OpDef, test: OpCase): Promise<CaseResult[]> {
  const prepared = prepareCase(def, test);
  const results: CaseResult[] = [];
  for (const { variant, tolerance, plan } of casePlans(prepared, gpu.profile)) {
    for (const result of await runCasePlan(gpu, prepared, plan, tolerance)) {
      results.push({ variant, ...result });
    }
  }
  return results;
}

/**
 * Largest relative gap between the vjp and central differences, both in float64, along random
 * directions of all float inputs that have a gradient.
 */
export function gradientError(def: OpDef, test: OpCase, directions = 3): number {
  const { graph, inputs, outputs } = caseGraph(def, test);
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
      const name = sourceName(t.node)!;
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
