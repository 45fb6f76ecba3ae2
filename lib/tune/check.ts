/** One node alone against the float64 reference: is what a variant computes right? */

import { Graph } from "../graph/graph.ts";
import { interpret } from "../graph/interpret.ts";
import type { Fill, OpCase, Variant } from "../graph/op.ts";
import { type Attrs, type DType, type Node, sizeOf, type TensorType } from "../graph/tensor.ts";
import type { Gpu } from "../gpu/device.ts";
import type { PlanOptions } from "../plan/lower.ts";
import { plan } from "../plan/planner.ts";
import { decode, encode, roundTo } from "../gpu/data.ts";
import { Executable } from "../gpu/runtime.ts";
import { OPS } from "../ops/mod.ts";
import { PhiloxStream } from "../random/philox.ts";

/** What a node is, without the graph that it is in. */
export interface NodeForm {
  readonly op: string;
  readonly inputs: readonly TensorType[];
  readonly attrs: Attrs;
}

export const formOf = (node: Node): NodeForm => ({
  op: node.op,
  inputs: node.inputs.map(({ shape, dtype }) => ({ shape, dtype })),
  attrs: node.attrs,
});

/** Names a form: nodes with the same key are the same work. */
export const formKey = ({ op, inputs, attrs }: NodeForm): string =>
  JSON.stringify([op, inputs.map((t) => `${t.dtype}[${t.shape}]`), attrs]);

/** A graph of that node alone; inputs are `in0`, `in1` …, outputs `out0` …. */
export function soloGraph({ op, inputs, attrs }: NodeForm) {
  const def = OPS[op];
  const graph = new Graph();
  const shared = new Set(Object.values(def.inPlace ?? {}));
  const tensors = inputs.map((type, i) =>
    shared.has(i) ? graph.state(`in${i}`, type) : graph.input(`in${i}`, type)
  );
  const outputs = graph.append(def, tensors, attrs);
  outputs.forEach((t, i) => {
    const j = def.inPlace?.[i];
    if (j === undefined) graph.output(`out${i}`, t);
    else graph.update(`in${j}`, t);
  });
  return { graph, outputs };
}

/** The ways there are to run it on a device, best guess first. */
export function variantsOf(form: NodeForm, options: PlanOptions): Variant[] {
  const { outputs } = soloGraph(form);
  const variants = OPS[form.op].lower({
    inputs: form.inputs,
    outputs: outputs[0].node.outputs,
    attrs: form.attrs,
    device: options.device,
  });
  return options.exact ? variants.filter((v) => v.exact) : variants;
}

/** The test case whose inputs look most like the form's: how to fill them, and how exact to be. */
function likeliestCase({ op, inputs }: NodeForm): OpCase | undefined {
  const cases: readonly OpCase[] = OPS[op].cases;
  const alike = cases.filter((c) => c.inputs.length === inputs.length);
  const plain = alike.filter((c) => !c.inputs.some((t) => t.fill?.kind === "constant"));
  return plain[0] ?? alike[0] ?? cases[0];
}

/** Values for a form's inputs, filled as its op's tests fill theirs, rounded to f32. */
export function formInputs(form: NodeForm): Float64Array[] {
  const like = likeliestCase(form);
  const random = new PhiloxStream(7);
  return form.inputs.map((type, i) => {
    let fill: Fill | undefined = like?.inputs[i]?.fill;
    // A weight's spread falls with the products that it takes part in, as a model's does.
    if (/^conv2d|^linear/.test(form.op) && i === 1 && type.shape.length === 4) {
      fill = { kind: "normal", std: 1 / Math.sqrt(sizeOf(type.shape.slice(1))) };
    }
    return fillValues(type, fill, random);
  });
}

function fillValues(type: TensorType, fill: Fill | undefined, random: PhiloxStream): Float64Array {
  const values = new Float64Array(sizeOf(type.shape));
  const float = type.dtype === "f32" || type.dtype === "f16";
  const normal = () =>
    Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  fill ??= float ? { kind: "normal" } : { kind: "integers", low: 0, high: 1000 };
  for (let i = 0; i < values.length; i++) {
    switch (fill.kind) {
      case "normal":
        values[i] = (fill.mean ?? 0) + (fill.std ?? 1) * normal();
        break;
      case "uniform":
        values[i] = fill.low + (fill.high - fill.low) * random.uniform();
        break;
      case "constant":
        values[i] = fill.value;
        break;
      case "integers":
        values[i] = fill.low + Math.floor((fill.high - fill.low) * random.uniform());
        break;
      case "values":
        values[i] = fill.values[i % fill.values.length];
    }
  }
  return roundTo(values, type.dtype);
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

/**
 * The largest ‖gpu − y‖ / ‖y‖ that a kernel may show whose f32 result has `tolerance`.
 *
 * Stored as f16, a result z becomes the nearest number r(z), which is no further from z than r(y) is.
 * So |r(z) − y| ≤ |r(z) − z| + |z − y| ≤ |r(y) − z| + |z − y| ≤ |r(y) − y| + 2 |z − y|.
 */
export function allowedError(tolerance: number, y: Float64Array, dtype: DType): number {
  return dtype === "f16" ? relativeError(roundTo(y, dtype), y) + 2 * tolerance : tolerance;
}

/** 1 is the whole tolerance; where none is allowed, any error is infinitely much. */
const shareOf = ({ error, tolerance }: { error: number; tolerance: number }) =>
  error > 0 ? error / tolerance : 0;

export interface FormCheck {
  readonly variant: string;
  /** Of the worst output. */
  readonly error: number;
  /** What the op's tests allow. */
  readonly tolerance: number;
  /** Where that output is furthest off. */
  readonly worst?: Furthest;
}

export interface Furthest {
  readonly output: number;
  readonly index: readonly number[];
  readonly value: number;
  readonly expected: number;
}

/** The element with the largest |a − b|; one that is not finite is further off than any other. */
export function furthest(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  shape: readonly number[],
): Omit<Furthest, "output"> {
  let at = 0, most = -1;
  for (let i = 0; i < b.length; i++) {
    const off = Number.isFinite(a[i]) ? Math.abs(a[i] - b[i]) : Infinity;
    if (off > most) [at, most] = [i, off];
  }
  let rest = at;
  const index = shape.toReversed().map((n) => {
    const i = rest % n;
    rest = Math.floor(rest / n);
    return i;
  }).reverse();
  return { index, value: a[at], expected: b[at] };
}

/** Inputs of a form with the reference's outputs: made once, used for every variant. */
export interface FormOracle {
  readonly form: NodeForm;
  readonly inputs: readonly Float64Array[];
  readonly expected: readonly Float64Array[];
}

export function formOracle(form: NodeForm): FormOracle {
  const { graph, outputs } = soloGraph(form);
  const inputs = formInputs(form);
  const feeds = Object.fromEntries(inputs.map((values, i) => [`in${i}`, values]));
  const result = interpret(graph, OPS, feeds);
  return { form, inputs, expected: outputs.map((t) => result.value(t)) };
}

/**
 * Loads a form alone with one variant, its memory poisoned, its inputs written.
 *
 * @param variant the name of one that the form has, or one of the caller's own.
 * @throws where the form has no such variant.
 */
export async function loadForm(
  gpu: Gpu,
  form: NodeForm,
  variant: string | Variant,
  inputs: readonly Float64Array[],
): Promise<Executable> {
  const { graph } = soloGraph(form);
  const choose = (_: unknown, all: readonly Variant[]) => {
    if (typeof variant !== "string") return variant;
    const chosen = all.find((v) => v.name === variant);
    if (!chosen) throw new Error(`${form.op} has no variant "${variant}"`);
    return chosen;
  };
  const laidOut = plan(graph, OPS, { device: gpu.profile, choose });
  const exe = await Executable.load(gpu, laidOut, { poison: true });
  inputs.forEach((values, i) => exe.write(`in${i}`, encode(values, form.inputs[i].dtype)));
  return exe;
}

/** Runs a variant and compares it with the oracle. */
export async function checkVariant(
  gpu: Gpu,
  { form, inputs, expected }: FormOracle,
  variant: Variant,
): Promise<FormCheck> {
  const def = OPS[form.op];
  const exe = await loadForm(gpu, form, variant, inputs);
  try {
    exe.run();
    const allowed = def.cases.map((c) =>
      variant.exact ? c.tolerance : c.inexactTolerance ?? c.tolerance
    );
    const base = Math.max(0, ...allowed);
    let worst: Omit<FormCheck, "variant"> = { error: 0, tolerance: base };
    const { outputs } = soloGraph(form);
    for (const [i, t] of outputs.entries()) {
      const j = def.inPlace?.[i];
      const bytes = await exe.readBytes(j === undefined ? `out${i}` : `in${j}`);
      const values = decode(bytes, t.dtype);
      const error = relativeError(values, expected[i]);
      const tolerance = allowedError(base, expected[i], t.dtype);
      if (shareOf({ error, tolerance }) > shareOf(worst)) {
        const at = { output: i, ...furthest(values, expected[i], t.shape) };
        worst = { error, tolerance, worst: at };
      }
    }
    return { variant: variant.name, ...worst };
  } finally {
    exe.destroy();
  }
}
