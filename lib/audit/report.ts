/** What runs on the GPU: a Plan told dispatch by dispatch, with totals and memory. */

import { type Plan, planBytes, type PlanDispatch } from "../plan/plan.ts";
import { STAGING_PITCH } from "../plan/staging_layout.ts";
import { attrsOf } from "../graph/op.ts";
import type { Node, TensorType } from "../graph/tensor.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import { OPS } from "../ops/mod.ts";
import { packOp, viewOp } from "../ops/view/op.ts";
import { planHash, sha256 } from "../plan/hash.ts";
import { memoryReport } from "./memory.ts";
import type { AuditedStep } from "./steps.ts";
import { shares } from "./work.ts";

export interface AuditTensor extends TensorType {
  /** `node:index`, the name under which the runtime reads it back. */
  readonly key: string;
  readonly buffer: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface AuditDispatch {
  readonly index: number;
  readonly node: number;
  readonly op: string;
  /** Place in the model: `down_blocks.0.resnets.0.conv1`. */
  readonly scope: string;
  readonly phase: string;
  /** For backward nodes: the parameter whose gradient it is, or `activation`. */
  readonly gradient: string | null;
  readonly variant: string;
  readonly note: string;
  /** From the header of the WGSL file. */
  readonly equation: string;
  readonly file: string;
  /** SHA-256 of the final text. */
  readonly sha256: string;
  readonly shader: number;
  readonly constants: Readonly<Record<string, number>>;
  /** Words of the uniform `params`, as bound. */
  readonly params: readonly number[];
  readonly workgroups: readonly [number, number, number];
  readonly inputs: readonly AuditTensor[];
  readonly outputs: readonly AuditTensor[];
  readonly bindings: PlanDispatch["bindings"];
  /** Floating-point operations, a fused multiply-add counted as two; see work.ts. */
  readonly flops: number;
  /** The fewest bytes that the node could move, shared like the FLOPs. */
  readonly idealBytes: number;
  /** Bytes bound, and of copies to textures made before it. */
  readonly actualBytes: number;
  /** Bytes of intermediate results alive while it runs. */
  readonly liveBytes: number;
}

export interface OpTotal {
  readonly op: string;
  readonly nodes: number;
  readonly dispatches: number;
  readonly flops: number;
  readonly idealBytes: number;
  readonly actualBytes: number;
}

export interface AuditReport {
  readonly step: string;
  readonly preset: string;
  readonly resolution: readonly number[];
  readonly batch: number;
  readonly planSha256: string;
  readonly dispatches: readonly AuditDispatch[];
  readonly totals: readonly OpTotal[];
  readonly flops: number;
  /** States copied back after the last dispatch. */
  readonly copies: Plan["copies"];
  readonly buffers: Plan["buffers"];
  readonly bytes: number;
  readonly memory: ReturnType<typeof memoryReport>;
}

/** The equation in a kernel's header, its lines joined. */
export function equationOf(text: string): string {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => line.startsWith("// Equation:"));
  if (from < 0) return "";
  const rest = lines.slice(from);
  const end = rest.findIndex((line, i) => i > 0 && /^(\/\/ [A-Z][a-z]+:|(?!\/\/))/.test(line));
  return rest.slice(0, end).map((line) => line.replace(/^\/\/ ?/, "").trim()).join(" ")
    .replace(/^Equation:\s*/, "");
}

/** Node → name of the parameter whose gradient it computes. */
export function parameterGradients({ graph, config }: AuditedStep): Map<number, string[]> {
  const names = new Map<number, string[]>();
  const specs = unet2DParameters(config.unet).specs;
  const byOffset = new Map(specs.map((s) => [s.offset, s.name]));
  for (const pack of graph.nodes.filter((n) => n.scope === "gradients")) {
    const attrs = attrsOf(pack, packOp);
    if (!attrs) continue;
    pack.inputs.forEach((t, i) => {
      let node: Node = t.node;
      while (node.op === viewOp.name) node = node.inputs[0].node;
      const name = byOffset.get(attrs.offsets[i])!;
      names.set(node.id, [...names.get(node.id) ?? [], name]);
    });
  }
  return names;
}

/** Tells a step whole. Needs no GPU. */
export async function auditReport(step: AuditedStep): Promise<AuditReport> {
  const { graph, plan } = step;
  const gradients = parameterGradients(step);
  const memory = memoryReport(graph, plan, OPS);
  const tensor = (key: string): AuditTensor => ({ key, ...plan.tensors[key] });
  const texts = await Promise.all(plan.shaders.map(async ({ text }) => ({
    sha256: await sha256(text),
    equation: equationOf(text),
  })));
  const byNode = Map.groupBy(plan.dispatches.map((d, index) => ({ d, index })), ({ d }) => d.node);
  const dispatches: AuditDispatch[] = [];
  for (const [id, calls] of byNode) {
    const node = graph.nodes[id];
    if (calls.some(({ d }) => d.op !== node?.op || d.scope !== node.scope)) {
      throw new Error(`The Plan's dispatch ${calls[0].index} is of another graph`);
    }
    const cost = OPS[node.op].cost(node.inputs, node.outputs, node.attrs);
    const parts = shares(calls.map(({ d }) => d), plan.shaders, cost.flops);
    calls.forEach(({ d, index }, i) => {
      const { file, constants } = plan.shaders[d.shader];
      dispatches[index] = {
        index,
        node: id,
        op: d.op,
        scope: d.scope,
        phase: d.phase,
        gradient: d.phase === "backward" ? gradients.get(id)?.join(", ") ?? "activation" : null,
        variant: d.variant,
        note: [d.note, d.once ? "once" : ""].filter(Boolean).join(", "),
        ...texts[d.shader],
        file,
        shader: d.shader,
        constants,
        params: paramsOf(plan, d),
        workgroups: d.workgroups,
        inputs: node.inputs.map((t) => tensor(t.key)),
        outputs: node.outputs.map((_, k) => tensor(`${id}:${k}`)),
        bindings: d.bindings,
        flops: cost.flops * parts[i],
        idealBytes: cost.bytes * parts[i],
        actualBytes: boundBytes(plan, d),
        liveBytes: memory.live[index],
      };
    });
  }
  const totals = [...Map.groupBy(dispatches, (d) => d.op)].map(([op, all]): OpTotal => {
    const sum = (of: (d: AuditDispatch) => number) => all.reduce((n, d) => n + of(d), 0);
    return {
      op,
      nodes: new Set(all.map((d) => d.node)).size,
      dispatches: all.length,
      flops: sum((d) => d.flops),
      idealBytes: sum((d) => d.idealBytes),
      actualBytes: sum((d) => d.actualBytes),
    };
  }).sort((a, b) => b.flops - a.flops);
  return {
    step: step.kind,
    preset: step.preset,
    resolution: step.config.resolution,
    batch: (plan.inputs.t ?? plan.inputs.lung_mask).shape[0],
    planSha256: await planHash(plan),
    dispatches,
    totals,
    flops: totals.reduce((sum, t) => sum + t.flops, 0),
    copies: plan.copies,
    buffers: plan.buffers,
    bytes: planBytes(plan),
    memory,
  };
}

function paramsOf(plan: Plan, { bindings }: PlanDispatch): number[] {
  const bound = bindings.find((b) => b.name === "params");
  return bound ? plan.params.slice(bound.offset / 4, (bound.offset + bound.size) / 4) : [];
}

/** Every bound range once (twice where read and written), and copies to textures both ways. */
function boundBytes(plan: Plan, d: PlanDispatch): number {
  const access = new Map(plan.shaders[d.shader].layout.map((b) => [b.binding, b.access]));
  const written = d.bindings.filter((b) => access.get(b.binding) === "read_write");
  const bound = d.bindings.reduce((sum, b) => sum + b.size, 0);
  const inPlace = OPS[d.op].inPlace;
  const again = inPlace ? written.reduce((sum, b) => sum + b.size, 0) : 0;
  return bound + again + d.stage.reduce((sum, s) => sum + 2 * s.size, 0);
}

/** Rows of a staging texture as bytes, for reports. */
export const textureBytes = (rows: number): number => rows * STAGING_PITCH * 16;
