/** Which kernels to time: those of a model's step, or an op at shapes of one's own. */

import { InputError } from "../errors.ts";
import { DEFAULT_PROFILE } from "../gpu/device.ts";
import type { Variant } from "../graph/op.ts";
import type { Node, Precision } from "../graph/tensor.ts";
import { OPS } from "../ops/mod.ts";
import { liveNodes, type PlanOptions } from "../plan/lower.ts";
import { formKey, formOf, type NodeForm, soloGraph, variantsOf } from "../tune/check.ts";
import { hashText } from "../tune/choices.ts";
import { twins } from "../tune/twins.ts";
import type { BenchModel, StepSize } from "./models.ts";
import { dimsText, formOfDims, overAxes, parseAxis, parseShape, smallDims } from "./signature.ts";
import type { StepKind } from "./steps.ts";

export interface KernelJob {
  readonly form: NodeForm;
  /** The same work on an image that is small enough for float64; the form itself where it is. */
  readonly small?: NodeForm;
  readonly variant: Variant;
  /** What `variant` is to the one that the op offers under its name, where it is not that. */
  readonly change?: (variant: Variant) => Variant;
  readonly shape: string;
  readonly scope: string;
  readonly count: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Names the same work in every run. */
export const jobKey = ({ form, variant }: Pick<KernelJob, "form" | "variant">): string =>
  `${form.op}/${variant.name}/${hashText(formKey(form))}`;

/** `conv2d` is conv2d; `group_norm` is all ops that begin so; nothing is all. */
export function opsNamed(name?: string): string[] {
  const all = Object.keys(OPS);
  if (name === undefined) return all;
  if (name in OPS) return [name];
  const found = all.filter((op) => op.startsWith(name));
  if (found.length) return found;
  throw new InputError(`--op ${name}: there is ${all.join(", ")}`);
}

/** `all`, a name, or undefined: what the plan takes. */
export type WantedVariant = string | undefined;

function wanted(
  form: NodeForm,
  node: Node,
  options: PlanOptions,
  name: WantedVariant,
): readonly Variant[] {
  const offered = variantsOf(form, options);
  if (offered.length === 0) return [];
  if (name === "all") return offered;
  if (name === undefined) return [options.choose?.(node, offered) ?? offered[0]];
  return offered.filter((v) => v.name === name);
}

const costOf = (node: Node) =>
  OPS[node.op as keyof typeof OPS].cost(node.inputs, node.outputs, node.attrs);

/** Attributes that tell rows of a table apart. */
const SHOWN = ["stride", "groups", "heads"];

/** Inputs of a node, the first four where there are many, and what is not as usual. */
export function shapeText({ inputs, attrs }: NodeForm): string {
  const shown = inputs.slice(0, 4).map((t) =>
    `${t.shape.join("×")}${t.dtype === "f32" ? "" : ` ${t.dtype}`}`
  );
  const more = inputs.length - shown.length;
  const of = attrs as Readonly<Record<string, unknown>>;
  return [
    ...shown,
    ...(more > 0 ? [`${more} more`] : []),
    ...SHOWN.filter((name) => typeof of[name] === "number" && (name !== "stride" || of[name] !== 1))
      .map((name) => `${name} ${of[name]}`),
  ].join(", ");
}

/** Every kernel of a step whose op is among `ops`, what computes most first. */
export function jobsOfModel(
  model: BenchModel,
  kind: StepKind,
  at: StepSize,
  options: PlanOptions,
  { ops, variant }: { readonly ops: readonly string[]; readonly variant?: WantedVariant },
): KernelJob[] {
  const { graph } = model.step(kind, at, options);
  const twinOf = twins(graph, model.small(kind, at, options));
  const jobs = new Map<string, KernelJob>();
  for (const node of liveNodes(graph)) {
    if (!ops.includes(node.op)) continue;
    const form = formOf(node), twin = twinOf.get(node);
    for (const chosen of wanted(form, node, options, variant)) {
      const key = jobKey({ form, variant: chosen });
      const known = jobs.get(key);
      jobs.set(key, {
        ...{ form, variant: chosen, small: twin && formOf(twin), shape: shapeText(form) },
        ...costOf(node),
        scope: known?.scope ?? node.scope,
        count: (known?.count ?? 0) + 1,
      });
    }
  }
  return [...jobs.values()].sort((a, b) => b.count * b.flops - a.count * a.flops);
}

/** An op at shapes that were typed. @throws InputError where it has no such variant there. */
export function jobsOfShapes(
  op: string,
  shapes: readonly string[],
  axes: readonly string[],
  options: PlanOptions,
  { precision, variant }: { readonly precision: Precision; readonly variant?: WantedVariant },
): KernelJob[] {
  const over = axes.map((text) => parseAxis(op, text));
  const all = shapes.flatMap((text) => overAxes(parseShape(op, text), over));
  return all.flatMap((dims) => {
    const form = formOfDims(op, dims, precision);
    const { node } = soloGraph(form).outputs[0];
    const chosen = wanted(form, node, options, variant);
    if (chosen.length === 0) {
      const offered = variantsOf(form, options).map((v) => v.name);
      throw new InputError(
        `--variant ${variant}: ${op} offers ${offered.join(", ")} for ${dimsText(op, dims)}`,
      );
    }
    return chosen.map((v): KernelJob => ({
      ...{ form, variant: v, small: formOfDims(op, smallDims(dims), precision) },
      ...costOf(node),
      ...{ shape: dimsText(op, dims), scope: "", count: 1 },
    }));
  });
}

export interface Offer {
  readonly op: string;
  readonly shape: string;
  readonly scope: string;
  readonly count: number;
  /** Every variant that the op has anywhere, and what becomes of it here. */
  readonly variants: readonly { readonly name: string; readonly why: string }[];
}

/** What there is to choose: the shapes of a step, their variants, and why each is taken or not. */
export function offersOfModel(
  model: BenchModel,
  kind: StepKind,
  at: StepSize,
  options: PlanOptions,
  ops: readonly string[],
): Offer[] {
  const { graph } = model.step(kind, at, options);
  const nodes = liveNodes(graph).filter((n) => ops.includes(n.op));
  const groups = Map.groupBy(nodes, (n) => formKey(formOf(n)));
  return [...groups.values()].flatMap((same) => {
    const [node] = same, form = formOf(node);
    const offered = variantsOf(form, { device: options.device });
    if (offered.length === 0) return [];
    const [taken] = wanted(form, node, options, undefined);
    const names = variantNames(form.op);
    const variants = [...new Set([...offered.map((v) => v.name), ...names])].map((name) => {
      const variant = offered.find((v) => v.name === name);
      return { name, why: whyOffered(name, variant, taken, options) };
    });
    return [{
      op: node.op,
      shape: shapeText(form),
      scope: node.scope,
      count: same.length,
      variants,
    }];
  });
}

function whyOffered(
  name: string,
  variant: Variant | undefined,
  taken: Variant,
  { exact, choose }: PlanOptions,
): string {
  if (!variant) return "not for this shape, type or device";
  if (name === taken.name) return choose ? "taken: measured as the fastest" : "taken: the first";
  if (exact && !variant.exact) return "left out by --exact: it rounds otherwise";
  return choose ? "offered, measured as slower" : "offered";
}

const ROOMY = { ...DEFAULT_PROFILE.limits, maxStorageBuffersPerShaderStage: 32 };
const LIST_DEVICES = [false, true].flatMap((software) =>
  [8, 16].map((lanes) => ({
    limits: ROOMY,
    features: ["shader-f16", "subgroups"],
    ...{ software, lanes },
  }))
);

const knownNames = new Map<string, string[]>();

/** Variants that an op's own cases are offered, on software and other devices. */
function variantNames(op: keyof typeof OPS): string[] {
  const known = knownNames.get(op);
  if (known) return known;
  const names = new Set<string>();
  for (const { inputs, attrs } of OPS[op].cases) {
    for (const device of LIST_DEVICES) {
      for (const v of variantsOf({ op, inputs, attrs }, { device })) names.add(v.name);
    }
  }
  knownNames.set(op, [...names]);
  return [...names];
}
