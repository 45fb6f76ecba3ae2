/** What the structure of a step says by itself: gradients that are zero whatever the data. */

import type { Graph } from "../graph/graph.ts";
import type { Node, Tensor } from "../graph/tensor.ts";
import { unet2DParameters } from "../nn/unet_2d.ts";
import type { AuditedStep } from "./steps.ts";

export interface ZeroGradient {
  readonly parameter: string;
  readonly why: string;
}

/**
 * Parameters whose gradient is zero by construction. What adds the same number to a whole channel
 * goes lost where
 * - a group norm of one channel a group subtracts the channel's mean, and nothing else reads it;
 * - it is in the keys of an attention: it adds the same number to all scores of a query, which the
 *   softmax takes away.
 */
export function zeroGradients({ graph, config }: AuditedStep): ZeroGradient[] {
  const found = new Map<string, string>();
  const names = parameterNames(graph, config);
  const readers = forwardReaders(graph);
  const lost = (t: Tensor, why: string) =>
    constantParts(t, readers, (p) => {
      const name = names.get(p.key);
      if (name) found.set(name, why);
    });
  for (const node of graph.nodes) {
    if (node.phase !== "forward") continue;
    if (node.op === "group_norm_stats") {
      const [x] = node.inputs;
      const alone = (readers.get(x.key) ?? []).every((n) => n.op.startsWith("group_norm"));
      if (alone && node.attrs.groups === x.shape[1]) {
        lost(x, `the group norm ${node.scope} has one channel a group and subtracts its mean`);
      }
    } else if (node.op === "attention") {
      const k = node.inputs[1];
      if ((readers.get(k.key) ?? []).length === 1) {
        lost(k, `the softmax of ${node.scope} takes a number added to all scores away`);
      }
    }
  }
  return [...found].map(([parameter, why]) => ({ parameter, why }));
}

/** Calls `zero` with every parameter that only adds a number to whole channels of t. */
function constantParts(
  t: Tensor,
  readers: ReadonlyMap<string, readonly Node[]>,
  zero: (parameter: Tensor) => void,
): void {
  const sole = (input: Tensor) => (readers.get(input.key) ?? []).length === 1;
  const { node } = t;
  if (node.op === "conv2d" || node.op === "conv2d_upsampled") {
    const extras: readonly string[] = node.attrs.extras ??
      (node.inputs.length > 2 ? ["bias"] : []);
    extras.forEach((name, i) => {
      const input = node.inputs[2 + i];
      if (name === "bias") zero(input);
      if (name === "channel" && sole(input)) wholly(input, zero);
      if (name === "residual" && sole(input)) constantParts(input, readers, zero);
    });
  } else if (node.op === "add_channel") {
    if (sole(node.inputs[1])) wholly(node.inputs[1], zero);
    if (sole(node.inputs[0])) constantParts(node.inputs[0], readers, zero);
  } else if (node.op === "add") {
    for (const input of node.inputs) if (sole(input)) constantParts(input, readers, zero);
  }
}

/** All parameters of the linear layer that makes a tensor none of whose numbers matter. */
function wholly({ node }: Tensor, zero: (parameter: Tensor) => void): void {
  if (node.op === "linear") node.inputs.slice(1).forEach(zero);
}

function forwardReaders(graph: Graph): Map<string, Node[]> {
  const readers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    if (node.phase !== "forward") continue;
    for (const t of node.inputs) readers.set(t.key, [...readers.get(t.key) ?? [], node]);
  }
  return readers;
}

/** Views of the flat parameters, also reshaped ones, by the parameter's name. */
function parameterNames(graph: Graph, config: AuditedStep["config"]): Map<string, string> {
  const params = graph.states.get("params");
  const byOffset = new Map(unet2DParameters(config.unet).specs.map((s) => [s.offset, s.name]));
  const names = new Map<string, string>();
  for (const node of graph.nodes) {
    if (node.op !== "view") continue;
    const [from] = node.inputs;
    const name = from.key === params?.key ? byOffset.get(node.attrs.offset) : names.get(from.key);
    if (name) names.set(`${node.id}:0`, name);
  }
  return names;
}
