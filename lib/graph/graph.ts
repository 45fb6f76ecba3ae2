/** A graph of nodes in execution order, with named inputs, states, outputs and state updates. */

import type { OpDef } from "./op.ts";
import {
  type Attrs,
  type Node,
  sameShape,
  show,
  sourceName,
  Tensor,
  type TensorType,
} from "./tensor.ts";

/**
 * A computation, built by applying ops to its inputs and states. Nothing runs: see `interpret` for the
 * CPU and `plan` for a GPU.
 *
 * @example
 * ```ts
 * import { add, f32, Graph } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(2, 3));
 * const w = g.state("w", f32(2, 3));
 * g.update("w", add(w, x)); // after a run, w holds w + x
 * ```
 */
export class Graph {
  /**
   * In the order of execution.
   * @internal
   */
  readonly nodes: Node[] = [];
  /** Data given anew for every run. */
  readonly inputs: Map<string, Tensor> = new Map();
  /** Memory that outlives a run: parameters, moments, the image being sampled. */
  readonly states: Map<string, Tensor> = new Map();
  /** What a run hands out. */
  readonly outputs: Map<string, Tensor> = new Map();
  /** State name → the tensor that takes its place after a run. */
  readonly updates: Map<string, Tensor> = new Map();

  #scope: string[] = [];
  #phase: Node["phase"] = "forward";

  /** Names the nodes appended by `body`, dot-separated when nested. */
  scope<T>(name: string, body: () => T): T {
    this.#scope.push(name);
    try {
      return body();
    } finally {
      this.#scope.pop();
    }
  }

  /**
   * Appends nodes in the place (scope) of another node and in a given phase.
   * @internal
   */
  within<T>(scope: string, phase: Node["phase"], body: () => T): T {
    const saved: [string[], Node["phase"]] = [this.#scope, this.#phase];
    this.#scope = scope ? [scope] : [];
    this.#phase = phase;
    try {
      return body();
    } finally {
      [this.#scope, this.#phase] = saved;
    }
  }

  /** Of the scopes that are open, dot-separated. */
  get scopeName(): string {
    return this.#scope.join(".");
  }

  /** Declares data that every run is given anew. */
  input(name: string, type: TensorType): Tensor {
    return this.#source("input", name, type, this.inputs);
  }

  /** Declares memory that outlives a run: parameters, moments, an image being sampled. */
  state(name: string, type: TensorType): Tensor {
    return this.#source("state", name, type, this.states);
  }

  #source(op: string, name: string, type: TensorType, table: Map<string, Tensor>): Tensor {
    if (this.inputs.has(name) || this.states.has(name)) {
      throw new Error(`Cannot add ${op} "${name}": the graph already has one of that name`);
    }
    const node = this.#push(op, [], { name }, [type]);
    const tensor = new Tensor(this, node, 0);
    table.set(name, tensor);
    return tensor;
  }

  /**
   * Applies an op; the output types come from its shape rule.
   * @internal
   */
  append<A extends Attrs>(
    def: OpDef<A>,
    inputs: readonly Tensor[],
    ...[attrs = {} as A]: Attrs extends A ? [attrs?: NoInfer<A>] : [attrs: NoInfer<A>]
  ): Tensor[] {
    for (const t of inputs) {
      if (t.graph !== this) {
        throw new Error(`Cannot build ${def.name}: an input is of another graph`);
      }
    }
    let outputs: TensorType[];
    try {
      outputs = def.infer(inputs, attrs);
    } catch (error) {
      const place = this.scopeName ? ` "${this.scopeName}"` : "";
      throw new Error(`Cannot build ${def.name}${place}: ${(error as Error).message}`);
    }
    const node = this.#push(def.name, inputs, attrs, outputs);
    return outputs.map((_, index) => new Tensor(this, node, index));
  }

  #push(op: string, inputs: readonly Tensor[], attrs: Attrs, outputs: TensorType[]): Node {
    const node: Node = Object.freeze({
      id: this.nodes.length,
      op,
      inputs: Object.freeze([...inputs]),
      attrs: Object.freeze({ ...attrs }),
      outputs: Object.freeze(outputs.map((t) => ({ shape: [...t.shape], dtype: t.dtype }))),
      scope: this.scopeName,
      phase: this.#phase,
    });
    this.nodes.push(node);
    return node;
  }

  /** Names a tensor that a run hands out. */
  output(name: string, tensor: Tensor): void {
    if (this.outputs.has(name)) throw new Error(`Cannot add output "${name}": it exists already`);
    this.outputs.set(name, tensor);
  }

  /** After a run the state holds `value`. */
  update(name: string, value: Tensor): void {
    const state = this.states.get(name);
    if (!state) throw new Error(`Cannot update "${name}": the graph has no such state`);
    if (!sameShape(state.shape, value.shape) || state.dtype !== value.dtype) {
      throw new Error(`Cannot update ${show(name, state)}: the new value is ${show("", value)}`);
    }
    if (this.updates.has(name)) throw new Error(`Cannot update "${name}" twice`);
    this.updates.set(name, value);
  }

  /**
   * Checks order, types and names; throws on the first breach. Run after every pass.
   * @internal
   */
  verify(registry: Readonly<Record<string, OpDef>>): void {
    const seen = new Set<Node>();
    for (const [i, node] of this.nodes.entries()) {
      if (node.id !== i) {
        throw new Error(`Graph order: node ${node.id} (${node.op}) stands at ${i}`);
      }
      for (const t of node.inputs) {
        if (!seen.has(t.node)) {
          throw new Error(
            `Graph order: ${node.op} ${node.id} uses ${t.node.op} ${t.node.id} early`,
          );
        }
      }
      if (sourceName(node) === undefined) {
        const def = registry[node.op];
        if (!def) throw new Error(`Graph: op "${node.op}" is not in the registry`);
        const types = def.infer(node.inputs, node.attrs);
        types.forEach((t, k) => {
          if (!sameShape(t.shape, node.outputs[k].shape) || t.dtype !== node.outputs[k].dtype) {
            throw new Error(`Graph types: ${node.op} ${node.id} output ${k} is not ${show("", t)}`);
          }
        });
      }
      seen.add(node);
    }
    for (const [name, t] of [...this.outputs, ...this.updates]) {
      if (!seen.has(t.node)) throw new Error(`Graph: "${name}" is not of this graph`);
    }
  }
}
