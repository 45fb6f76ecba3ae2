/** How every pass makes its graph: a copy of the given one, node by node, some of them otherwise. */

import { Graph } from "../graph/graph.ts";
import type { OpDef, Registry } from "../graph/op.ts";
import { type Attrs, type Node, sourceName, type Tensor } from "../graph/tensor.ts";

/** What of a node's copy is not as it was. */
export interface Change {
  readonly op?: OpDef;
  readonly inputs?: readonly Tensor[];
  readonly attrs?: Attrs;
  readonly phase?: Node["phase"];
}

/** A graph that becomes a copy of another. */
export class GraphCopy {
  readonly graph: Graph = new Graph();
  /** Key of a tensor of the original → the one that stands for it. */
  readonly tensors: Map<string, Tensor> = new Map();
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** Where a tensor of the original went. */
  readonly moved = (t: Tensor): Tensor => this.tensors.get(t.key)!;

  /** Appends a copy of the node, in its scope and phase. Its outputs stand for those of `as`. */
  copy(node: Node, change: Change = {}, as: Node = node): Tensor[] {
    const outputs = this.append(node, change);
    outputs.forEach((t, i) => this.tensors.set(`${as.id}:${i}`, t));
    return outputs;
  }

  /** The same, beside what stands for the node's outputs already. */
  append(node: Node, change: Change = {}): Tensor[] {
    const name = sourceName(node);
    if (name !== undefined) {
      return [
        node.op === "input"
          ? this.graph.input(name, node.outputs[0])
          : this.graph.state(name, node.outputs[0]),
      ];
    }
    const { op = this.#registry[node.op], attrs = node.attrs, phase = node.phase } = change;
    const inputs = change.inputs ?? node.inputs.map(this.moved);
    return this.graph.within(node.scope, phase, () => this.graph.append(op, inputs, attrs));
  }

  /** The copy, with the outputs and updates of the original. */
  finish({ outputs, updates }: Graph): Graph {
    for (const [name, t] of outputs) this.graph.output(name, this.moved(t));
    for (const [name, t] of updates) this.graph.update(name, this.moved(t));
    return this.graph;
  }
}
