/**
 * Graph → Graph, after differentiation and before planning: the same values with fewer passes over
 * memory. The graph that comes in is the reference of the one that goes out.
 */

import { Graph } from "../graph/graph.ts";
import type { Registry } from "../graph/op.ts";
import { type Node, Tensor } from "../graph/tensor.ts";

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

  const result = new Graph();
  const tensors = new Map<string, Tensor>();
  const taken = new Set([...repeated.values()].filter((n) => readers.get(`${n.id}:1`)));
  const moved = (t: Tensor) => tensors.get(t.key)!;
  for (const node of graph.nodes) {
    if (absorbed.has(node) || losses.made.has(node)) continue;
    if (node.op === "input" || node.op === "state") {
      const { name } = node.attrs;
      const source = node.op === "input" ? result.input(name, node.outputs[0]) : undefined;
      tensors.set(`${node.id}:0`, source ?? result.state(name, node.outputs[0]));
      continue;
    }
    const first = repeated.get(node);
    if (first) {
      const [y, total] = [0, 1].map((i) => tensors.get(`${first.id}:${i}`)!);
      tensors.set(`${node.id}:0`, y);
      tensors.set(`${node.id}:1`, total);
      if (!readers.get(`${node.id}:1`)) continue;
      if (taken.has(first)) {
        // The gradients of two biases lie in two places: the images' sums are added once more.
        const again = result.within(
          node.scope,
          node.phase,
          () => result.append(registry.sum_batch, [y], {})[0],
        );
        tensors.set(`${node.id}:1`, again);
      }
      taken.add(first);
      continue;
    }
    const fusion = fusions.get(node);
    const made = fusion?.product ?? node;
    const inputs = fusion ? [...made.inputs, fusion.added] : made.inputs;
    const attrs = fusion
      ? { ...made.attrs, extras: [...(made.attrs.extras ?? []), fusion.extra] }
      : made.attrs;
    const outputs = result.within(
      made.scope,
      made.phase,
      () => result.append(registry[made.op], inputs.map(moved), attrs),
    );
    outputs.forEach((t, i) => tensors.set(`${node.id}:${i}`, t));
    const loss = losses.by.get(node);
    if (loss) tensors.set(`${loss.id}:0`, outputs[0]);
  }
  for (const [name, t] of graph.outputs) result.output(name, moved(t));
  for (const [name, t] of graph.updates) result.update(name, moved(t));
  return { graph: result, tensors };
}

/** Ops beside conv2d that add an input of their output's shape as they store. */
const TAKE_RESIDUAL = ["conv2d_backward_data", "linear_data_gradient"];

/** `alone(t)`: nothing else reads t, and its node is still there. */
function fusionOf(node: Node, alone: (t: Tensor) => boolean): Fusion | undefined {
  const fits = (t: Tensor, extra: "channel" | "residual") => {
    const { op, attrs } = t.node;
    const extras: readonly string[] = attrs.extras ?? [];
    return alone(t) && !extras.includes("residual") && !extras.includes(extra) &&
      (op === "conv2d" || (TAKE_RESIDUAL.includes(op) && extra === "residual"));
  };
  if (node.op === "add_channel" && fits(node.inputs[0], "channel")) {
    return { product: node.inputs[0].node, added: node.inputs[1], extra: "channel" };
  }
  if (node.op === "add" && (node.attrs.scaleA ?? 1) === 1 && (node.attrs.scaleB ?? 1) === 1) {
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
