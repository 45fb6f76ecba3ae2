/**
 * Runs the cases of an op on the GPU against its float64 reference. Memory is poisoned first, and
 * every tensor has a guard behind it: a kernel that reads past an end gets NaN, one that writes there
 * is found out.
 */

import type { Gpu } from "../gpu/device.ts";
import type { Plan, PlanSlot } from "../plan/plan.ts";
import { decode, encode, roundTo } from "../gpu/data.ts";
import { plan } from "../plan/planner.ts";
import { Executable } from "../gpu/runtime.ts";
import { Graph } from "../graph/graph.ts";
import { interpret } from "../graph/interpret.ts";
import type { DeviceProfile, Fill, OpCase, OpDef, Variant } from "../graph/op.ts";
import { type Node, sizeOf, type Tensor, type TensorType } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { allowedError } from "../tune/check.ts";
import { elementsOf, isRunOfTwo, twoFeeds, twoGraph } from "./cases_of_two.ts";
import { compare } from "./values.ts";

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
  return roundTo(values, type.dtype);
}

/** The case with tensors stored as f16, in each way that the op allows. */
function allHalves(def: OpDef, test: OpCase): OpCase[] {
  const groups = def.half?.(test.attrs, test.inputs) ?? [];
  return Array.from({ length: 2 ** groups.length - 1 }, (_, k): OpCase => {
    const chosen = groups.filter((_, i) => (k + 1) >> i & 1);
    const inputs = chosen.flatMap((g) => g.inputs ?? []);
    const outputs = chosen.flatMap((g) => g.outputs ?? []);
    return {
      ...test,
      name: `${test.name}, f16 in [${inputs}] out [${outputs}]`,
      inputs: test.inputs.map((t, i) => inputs.includes(i) ? { ...t, dtype: "f16" } : t),
      attrs: chosen.some((g) => g.named) ? { ...test.attrs, dtype: "f16" } : test.attrs,
    };
  }).filter((c) => c.inputs.every((t, i) => t.dtype !== "f16" || test.inputs[i].dtype === "f32"));
}

/**
 * The case with all of a node's tensors as f16 that may be so; where it is small, also with some of
 * them. The largest cases are about the limits of loops and chunks, and take their time in float64.
 */
export function halfCases(def: OpDef, test: OpCase): OpCase[] {
  const all = allHalves(def, test);
  return elementsOf(test) < 4_000 ? all : elementsOf(test) < 150_000 ? all.slice(-1) : [];
}

/** The case as a graph of one node; inputs that the op changes in place are states. */
export function caseGraph(def: OpDef, test: OpCase) {
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

export interface PreparedCase {
  readonly def: OpDef;
  readonly test: OpCase;
  readonly graph: Graph;
  readonly outputs: readonly Tensor[];
  readonly feeds: Readonly<Record<string, Float64Array>>;
  /** Float64 results, computed when first asked for. */
  expected(): readonly Float64Array[];
}

export function prepareCase(def: OpDef, test: OpCase): PreparedCase {
  const { graph, outputs } = caseGraph(def, test);
  const rng = random(7);
  const feeds: Record<string, Float64Array> = {};
  test.inputs.forEach((type, i) => feeds[`in${i}`] = fillInput(type, rng));
  let expected: readonly Float64Array[] | undefined;
  return {
    def,
    test,
    graph,
    outputs,
    feeds,
    expected() {
      if (!expected) {
        const all = interpret(graph, OPS, feeds);
        expected = outputs.map((t) => all.value(t));
      }
      return expected;
    },
  };
}

/**
 * A guarded plan for each variant that the profile allows, and the same with its grids folded where
 * a kernel folds them (see `gridFor`), as it else would for large tensors only; and where kernels can
 * read their image from two buffers, one in which they do.
 */
export function casePlans(
  { def, test, graph, outputs }: PreparedCase,
  device: DeviceProfile,
): { variant: string; tolerance: number; plan: Plan }[] {
  const variants: Variant[] = def.lower({
    inputs: test.inputs,
    outputs: outputs[0].node.outputs,
    attrs: test.attrs,
    device,
  });
  return variants.flatMap(({ name: variant, exact }) => {
    const tolerance = exact ? test.tolerance : test.inexactTolerance ?? test.tolerance;
    const choose = ({ op }: Node, all: readonly Variant[]) =>
      op === def.name ? all.find((v) => v.name === variant)! : all[0];
    const whole = guarded(plan(graph, OPS, { device, choose }));
    const twofold = small(test) ? folded(whole) : undefined;
    const two = isRunOfTwo(def, test, variant, device) ? twoGraph(def, test) : undefined;
    const ofTwo = two && plan(two, OPS, { device, choose });
    if (ofTwo?.dispatches.some((d) => d.op === "concat")) throw new Error(`${variant}: joined`);
    return [
      { variant, tolerance, plan: whole },
      ...(ofTwo ? [{ variant: `${variant}, of two`, tolerance, plan: guarded(ofTwo) }] : []),
      ...(twofold ? [{ variant: `${variant}, folded`, tolerance, plan: twofold }] : []),
    ];
  });
}

/** Folding the large cases would only cost time. */
const small = (test: OpCase) => elementsOf(test) < 20_000;

const [FOLDS_OVER_Y, FOLDS_OVER_Z] = ["y", "z"].map((axis) =>
  new RegExp(`wid\\.${axis} \\* groups\\.x \\+ wid\\.x`)
);
const BY_WORKGROUPS = /\(wid\.y \* groups\.x \+ wid\.x\) \* WORKGROUP \+ lane/;

/**
 * Workgroups in three rows, at least one too many, for the kernels that read `num_workgroups` to
 * allow that; of 4 invocations each where one workgroup would do the whole of a small case.
 */
function folded(original: Plan): Plan | undefined {
  const folds = new Set<number>();
  const smaller = original.shaders.map(({ text, constants }) => {
    const size = text.match(/override WORKGROUP: u32 = (\d+);/)?.[1];
    return BY_WORKGROUPS.test(text) && size && !("WORKGROUP" in constants) ? Number(size) / 4 : 1;
  });
  const dispatches = original.dispatches.map((d) => {
    const [x, y, z] = d.workgroups;
    const { text } = original.shaders[d.shader];
    const overY = FOLDS_OVER_Y.test(text) && y === 1 && z === 1;
    const overZ = FOLDS_OVER_Z.test(text) && z === 1;
    if (!overY && !overZ) return d;
    folds.add(d.shader);
    const row = Math.floor(x * smaller[d.shader] / 3) + 1;
    const workgroups = overY ? [row, 3, 1] as const : [row, y, 3] as const;
    return { ...d, workgroups };
  });
  const shaders = original.shaders.map((s, i) =>
    folds.has(i) && smaller[i] > 1 ? { ...s, constants: { ...s.constants, WORKGROUP: 4 } } : s
  );
  // A shader that is dispatched unfolded as well keeps its size.
  const mixed = original.dispatches.some((d, i) =>
    folds.has(d.shader) && dispatches[i] === d && smaller[d.shader] > 1
  );
  return folds.size && !mixed ? { ...original, shaders, dispatches } : undefined;
}

const GUARD = 1024;
/** NaN as one f32 and as two f16, and hardly ever a result. */
const POISON = 0x7fc57fc5;

/** Every buffer longer by a guard, which storage bindings that reach the buffer's end cover too. */
export function guarded(original: Plan): Plan {
  const tensors: Record<string, PlanSlot> = { ...original.tensors };
  original.buffers.forEach(({ role, bytes }, buffer) => {
    if (role === "params") return;
    const offset = writtenByWords(original, buffer) ?? bytes;
    const size = bytes + GUARD - offset;
    tensors[`guard:${buffer}`] = { buffer, offset, bytes: size, shape: [size / 4], dtype: "u32" };
  });
  return {
    ...original,
    tensors,
    buffers: original.buffers.map((b) =>
      b.role === "params" ? b : { ...b, bytes: b.bytes + GUARD }
    ),
    dispatches: original.dispatches.map((d) => ({
      ...d,
      bindings: d.bindings.map((b) => {
        const { role, bytes } = original.buffers[b.buffer];
        const access = original.shaders[d.shader].layout.find((l) => l.binding === b.binding)!;
        const grows = role !== "params" && access.access.startsWith("read") &&
          b.offset + b.size === bytes;
        return grows ? { ...b, size: b.size + GUARD } : b;
      }),
    })),
  };
}

/**
 * Where the tensor in the buffer ends, if kernels write it word by word; those that write vec4 may
 * fill the padding to 16 bytes too.
 */
function writtenByWords(plan: Plan, buffer: number): number | undefined {
  const ends = Object.values(plan.tensors).filter((t) => t.buffer === buffer)
    .map((t) => t.offset + t.bytes);
  let written = false;
  for (const d of plan.dispatches) {
    const { text, layout } = plan.shaders[d.shader];
    for (const b of d.bindings) {
      const writes = layout.some((l) => l.binding === b.binding && l.access === "read_write");
      if (b.buffer !== buffer || !writes) continue;
      written = true;
      const words = new RegExp(`var<storage, read_write> ${b.name}: array<(f32|f16|u32|i32)>;`);
      if (!words.test(withoutAliases(text))) return undefined;
    }
  }
  return written && ends.length ? Math.ceil(Math.max(...ends) / 4) * 4 : undefined;
}

/** Arrays of the types that `alias Stored` and the like stand for. */
function withoutAliases(text: string): string {
  const aliases = new Map(
    [...text.matchAll(/^alias (\w+) = ([^;]+);/gm)].map(([, a, b]) => [a, b]),
  );
  return text.replace(/array<(\w+)>/g, (_, name) => `array<${aliases.get(name) ?? name}>`);
}

export interface OutputError {
  readonly output: number;
  /** ‖gpu − float64‖ / ‖float64‖; Infinity where a guard was written to. */
  readonly error: number;
  /** What it may be. */
  readonly tolerance: number;
}

/**
 * Runs a plan of the case.
 *
 * @param tolerance of f32 results, see {@link allowedError}.
 * @throws where a shader does not compile.
 */
export async function runCasePlan(
  gpu: Gpu,
  prepared: PreparedCase,
  plan: Plan,
  tolerance: number,
): Promise<OutputError[]> {
  const { def, test, outputs } = prepared;
  const isOfTwo = !("in0" in plan.inputs || "in0" in plan.states);
  const feeds = {
    ...prepared.feeds,
    ...(isOfTwo ? twoFeeds(test.inputs[0], prepared.feeds.in0) : {}),
  };
  const exe = await Executable.load(gpu, plan, { poison: true });
  try {
    const guards = Object.keys(plan.tensors).filter((key) => key.startsWith("guard:"));
    // Each has its own pattern, so that copying one over another shows.
    guards.forEach((key, i) =>
      exe.write(key, new Uint32Array(plan.tensors[key].bytes / 4).fill(POISON + i))
    );
    for (const [name, { dtype }] of Object.entries({ ...plan.inputs, ...plan.states })) {
      exe.write(name, encode(feeds[name], dtype));
    }
    exe.run();
    const results = await Promise.all(outputs.map((_, i) => {
      const j = def.inPlace?.[i];
      return exe.readBytes(j === undefined ? `out${i}` : `in${j}`);
    }));
    const behind = await Promise.all(guards.map((key) => exe.readBytes(key)));
    const intact = behind.every((b, i) => new Uint32Array(b).every((word) => word === POISON + i));
    return outputs.map((t, i) => ({
      output: i,
      error: intact
        ? compare(decode(results[i], t.dtype), prepared.expected()[i]).relative
        : Infinity,
      tolerance: allowedError(tolerance, prepared.expected()[i], t.dtype),
    }));
  } finally {
    exe.destroy();
  }
}
