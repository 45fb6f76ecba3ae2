/** Reverse-mode differentiation from graph to graph: gradients are ordinary nodes. */

import type { Graph } from "./graph.ts";
import type { Registry } from "./op.ts";
import { type Node, sameShape, show, type Tensor } from "./tensor.ts";

/**
 * Appends the nodes that compute dL/dx for every x in `wrt`, where `seed` is dL/d`of`
 * (for a loss, an op such as `mse` whose own gradient starts the chain, `of` is the loss and `seed`
 * a tensor of its shape).
 *
 * @throws if a tensor of `wrt` does not influence `of`, or a path crosses a non-differentiable op.
 *
 * @example
 * ```ts
 * import { f32, gradients, Graph, interpret, mse, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const [a, b] = ["a", "b"].map((name) => g.input(name, f32(2)));
 * const [da] = gradients(g, OPS, mse(a, b), g.input("dloss", f32(1)), [a]);
 * g.output("da", da);
 * interpret(g, OPS, { a: [1, 2], b: [1, 4], dloss: [1] }).outputs.get("da"); // [0, -2]
 * ```
 */
export function gradients(
  graph: Graph,
  registry: Registry,
  of: Tensor,
  seed: Tensor,
  wrt: readonly Tensor[],
): Tensor[] {
  if (!sameShape(of.shape, seed.shape)) {
    throw new Error(`Cannot differentiate ${show("output", of)}: ${show("seed", seed)} differs`);
  }
  const wanted = new Set(wrt.map((t) => t.key));
  const forward = graph.nodes.slice(0, of.node.id + 1);
  const active = new Set<Node>(); // nodes with an output that depends on a wanted tensor
  const isActive = (t: Tensor) => wanted.has(t.key) || active.has(t.node);
  for (const node of forward) if (node.inputs.some(isActive)) active.add(node);

  const sums = new Map<string, Tensor>();
  const accumulate = (t: Tensor, grad: Tensor) => {
    if (!sameShape(t.shape, grad.shape)) {
      throw new Error(
        `Gradient of ${t.node.op} "${t.node.scope}" has shape [${grad.shape}], ` +
          `required [${t.shape}]`,
      );
    }
    const before = sums.get(t.key);
    sums.set(t.key, before ? graph.append(registry.add, [before, grad])[0] : grad);
  };
  sums.set(of.key, seed);

  for (const node of forward.toReversed()) {
    if (!active.has(node)) continue;
    const grads = node.outputs.map((_, i) => sums.get(`${node.id}:${i}`));
    if (grads.every((g) => g === undefined)) continue;
    const needs = node.inputs.map(isActive);
    const vjp = registry[node.op].vjp;
    if (vjp === "non-differentiable") {
      throw new Error(`Cannot differentiate ${node.op} "${node.scope}": it has no gradient`);
    }
    graph.within(node.scope, "backward", () => {
      vjp(node, grads, needs).forEach((grad, i) => {
        if (grad && needs[i]) accumulate(node.inputs[i], grad);
      });
    });
  }
  return wrt.map((t) => {
    const grad = sums.get(t.key);
    if (!grad) throw new Error(`Cannot differentiate: ${show(t.node.scope, t)} has no influence`);
    return grad;
  });
}
