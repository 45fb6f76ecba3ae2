/**
 * Graph → Graph, after differentiation and before planning: the same values with fewer passes over
 * memory. The graph that comes in is the reference of the one that goes out.
 */

import type { Graph } from "../graph/graph.ts";
import { attrsOf, type OpDef, type Registry } from "../graph/op.ts";
import { type Node, Tensor } from "../graph/tensor.ts";
import { addOp } from "../ops/add/op.ts";
import { addChannelOp, sumBatchOp } from "../ops/channel/op.ts";
import type { Extra, WithExtras } from "../ops/common/extras.ts";
import { conv2dBackwardDataOp, conv2dOp } from "../ops/conv2d/op.ts";
import { linearDataGradientOp } from "../ops/linear/op.ts";
import { GraphCopy } from "./copy.ts";

/** A graph and where the tensors of the old one went (fused ones excepted). */
export interface Rewritten {
  readonly graph: Graph;
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** The addition `node` taken into the convolution or product that makes one of its inputs. */
interface Fusion {
  readonly product: Node;
  readonly added: Tensor;
  readonly extra: "channel" | "residual";
}

/**
 * Merges equal sums, and a loss with the op that makes it and its gradient; and takes additions into
 * the store of what is before them: `add(conv2d(..), r)`, `addChannel(conv2d(..), v)`,
 * `add(conv2d_backward_data(..), r)` and `add(linear_data_gradient(..), r)`, where nothing else reads
 * that output.
 */
export function fuse(graph: Graph, registry: Registry): Rewritten {
  const tensors = new Map<string, Tensor>();
  for (const node of graph.nodes) {
    node.outputs.forEach((_, i) => tensors.set(`${node.id}:${i}`, new Tensor(graph, node, i)));
  }
  let rewritten: Rewritten = { graph, tensors };
  for (;;) {
    const next = fuseOnce(rewritten.graph, registry);
    if (!next) return rewritten;
    const chained = new Map<string, Tensor>();
    for (const [key, t] of rewritten.tensors) {
      const now = next.tensors.get(t.key);
      if (now) chained.set(key, now);
    }
    rewritten = { graph: next.graph, tensors: chained };
  }
}

/** Key of a tensor → how often it is read, handed out or kept. */
export function readerCounts(graph: Graph): Map<string, number> {
  const readers = new Map<string, number>();
  const count = ({ key }: Tensor) => readers.set(key, (readers.get(key) ?? 0) + 1);
  for (const node of graph.nodes) node.inputs.forEach(count);
  for (const t of [...graph.outputs.values(), ...graph.updates.values()]) count(t);
  return readers;
}

/** Once through the graph; undefined where there is nothing to fuse. */
function fuseOnce(graph: Graph, registry: Registry): Rewritten | undefined {
  const readers = readerCounts(graph);
  const fusions = new Map<Node, Fusion>();
  const absorbed = new Set<Node>();
  for (const node of graph.nodes) {
    const fusion = fusionOf(node, (t) => readers.get(t.key) === 1 && !absorbed.has(t.node));
    if (!fusion) continue;
    fusions.set(node, fusion);
    absorbed.add(fusion.product);
  }

  const losses = lossesMadeTwice(graph);
  const repeated = repeatedSums(graph);
  if (!fusions.size && !losses.made.size && !repeated.size) return undefined;

  const copy = new GraphCopy(registry);
  const { tensors } = copy;
  const taken = new Set([...repeated.values()].filter((n) => readers.get(`${n.id}:1`)));
  for (const node of graph.nodes) {
    if (absorbed.has(node) || losses.made.has(node)) continue;
    const first = repeated.get(node);
    if (first) {
      const [y, total] = [0, 1].map((i) => tensors.get(`${first.id}:${i}`)!);
      tensors.set(`${node.id}:0`, y);
      tensors.set(`${node.id}:1`, total);
      if (!readers.get(`${node.id}:1`)) continue;
      if (taken.has(first)) {
        // The gradients of two biases lie in two places: the images' sums are added once more.
        const [again] = copy.append(node, { op: sumBatchOp, inputs: [y], attrs: {} });
        tensors.set(`${node.id}:1`, again);
      }
      taken.add(first);
      continue;
    }
    const outputs = fused(copy, node, fusions.get(node));
    const loss = losses.by.get(node);
    if (loss) tensors.set(`${loss.id}:0`, outputs[0]);
  }
  return { graph: copy.finish(graph), tensors };
}

function fused(copy: GraphCopy, node: Node, fusion: Fusion | undefined): Tensor[] {
  if (!fusion) return copy.copy(node);
  const { product, added, extra } = fusion;
  return copy.copy(product, {
    inputs: [...product.inputs, added].map(copy.moved),
    attrs: { ...product.attrs, extras: [...extrasOf(product) ?? [], extra] },
  }, node);
}

/** What ops add in their stores, beside the bias that they may be made with. */
const ADDING: readonly (readonly [OpDef<WithExtras>, readonly Extra[]])[] = [
  [conv2dOp, ["channel", "residual"]],
  [conv2dBackwardDataOp, ["residual"]],
  [linearDataGradientOp, ["residual"]],
];

const extrasOf = (node: Node) =>
  ADDING.map(([op]) => attrsOf(node, op)).find((attrs) => attrs)?.extras;

/** `alone(t)`: nothing else reads t, and its node is still there. */
function fusionOf(node: Node, alone: (t: Tensor) => boolean): Fusion | undefined {
  const fits = (t: Tensor, extra: Fusion["extra"]) => {
    const extras = extrasOf(t.node) ?? [];
    return alone(t) && !extras.includes("residual") && !extras.includes(extra) &&
      ADDING.some(([op, adds]) => op.name === t.node.op && adds.includes(extra));
  };
  if (node.op === addChannelOp.name && fits(node.inputs[0], "channel")) {
    return { product: node.inputs[0].node, added: node.inputs[1], extra: "channel" };
  }
  const sum = attrsOf(node, addOp);
  if (sum && (sum.scaleA ?? 1) === 1 && (sum.scaleB ?? 1) === 1) {
    // The later of two, so that its operands need not be kept for long.
    const [a, b] = node.inputs;
    const order = a.node.id > b.node.id ? [[a, b], [b, a]] : [[b, a], [a, b]];
    for (const [t, added] of order) {
      if (t !== added && t.key !== added.key && fits(t, "residual")) {
        return { product: t.node, added, extra: "residual" };
      }
    }
  }
  return undefined;
}

/**
 * Sums that an earlier node makes too → that node: the gradients of a convolution's bias and of a value
 * added per channel, and of the biases of a convolution and its shortcut.
 */
function repeatedSums({ nodes }: Graph): Map<Node, Node> {
  const firsts = new Map<string, Node>();
  const repeated = new Map<Node, Node>();
  for (const node of nodes) {
    if (node.op !== "sum_spatial") continue;
    const first = firsts.get(node.inputs[0].key);
    if (first) repeated.set(node, first);
    else firsts.set(node.inputs[0].key, node);
  }
  return repeated;
}

/** Nodes `mse` whose loss an `mse_with_gradient` makes too, before anything reads it. */
function lossesMadeTwice({ nodes }: Graph): { by: Map<Node, Node>; made: Set<Node> } {
  const by = new Map<Node, Node>();
  const keyOf = ({ inputs: [prediction, target] }: Node) => `${prediction.key} ${target.key}`;
  const losses = new Map(nodes.filter((n) => n.op === "mse").map((n) => [keyOf(n), n]));
  for (const node of nodes) {
    const loss = node.op === "mse_with_gradient" ? losses.get(keyOf(node)) : undefined;
    const isRead = (n: Node) => n.id < node.id && n.inputs.some((t) => t.node === loss);
    if (loss && !nodes.some(isRead) && ![...by.values()].includes(loss)) by.set(node, loss);
  }
  return { by, made: new Set(by.values()) };
}
