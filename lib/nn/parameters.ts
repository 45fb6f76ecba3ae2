/** All parameters of a model in one flat buffer, under diffusers' state-dict names. */

import { Graph } from "../graph/graph.ts";
import { sizeOf, type Tensor } from "../graph/tensor.ts";
import { view } from "../ops/view/op.ts";
import type { PhiloxStream } from "../random/philox.ts";

/** Initial distribution: uniform in [−bound, bound] (PyTorch's default) or a constant. */
export type Init = { readonly bound: number } | { readonly value: number };

/** A parameter. */
export interface ParameterSpec {
  /** As diffusers' state dict has it. */
  readonly name: string;
  /** As PyTorch has it. */
  readonly shape: readonly number[];
  /** What it starts from. */
  readonly init: Init;
  /** First element within the flat buffer. */
  readonly offset: number;
}

/** Elements between which parameters start: 256 bytes, WebGPU's binding alignment. */
const STEP = 64;

/**
 * Where each parameter of a model lies in one flat buffer.
 *
 * @example
 * ```ts
 * import { ParameterLayout } from "@lung-ddpm/webgpu";
 * const init = { bound: 0.1 };
 * const layout = new ParameterLayout([
 *   { name: "w", shape: [3, 3], init },
 *   { name: "b", shape: [3], init },
 * ]);
 * layout.get("b").offset; // 64: parameters start at multiples of 256 bytes
 * ```
 */
export class ParameterLayout {
  /** In the order of the buffer. */
  readonly specs: readonly ParameterSpec[];
  readonly #byName: Map<string, ParameterSpec>;
  /** Length of the flat buffer, gaps included. */
  readonly size: number;

  /** Of parameters in the order that they shall have. */
  constructor(items: readonly Omit<ParameterSpec, "offset">[]) {
    let offset = 0;
    this.specs = items.map((item) => {
      const spec = { ...item, offset };
      offset += Math.ceil(sizeOf(item.shape) / STEP) * STEP;
      return spec;
    });
    this.size = offset;
    this.#byName = new Map(this.specs.map((s) => [s.name, s]));
  }

  /** The parameter of that name; throws where there is none. */
  get(name: string): ParameterSpec {
    const spec = this.#byName.get(name);
    if (!spec) throw new Error(`The model has no parameter "${name}"`);
    return spec;
  }

  /** Whether there is one of that name. */
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** Number of parameters, gaps not counted. */
  get count(): number {
    return this.specs.reduce((sum, s) => sum + sizeOf(s.shape), 0);
  }

  /** The part of a flat buffer that belongs to a parameter. */
  part<T extends Float32Array | Float64Array>(flat: T, name: string): T {
    const { offset, shape } = this.get(name);
    return flat.subarray(offset, offset + sizeOf(shape)) as T;
  }

  /** Elements in use of each block of `block` elements (a divisor of 64), from the block's start. */
  filledBlocks(block: number): Int32Array<ArrayBuffer> {
    const filled = new Int32Array(this.size / block);
    for (const { offset, shape } of this.specs) {
      for (let i = 0, left = sizeOf(shape); left > 0; i++, left -= block) {
        filled[offset / block + i] = Math.min(left, block);
      }
    }
    return filled;
  }

  /** Sets the gaps between parameters to zero, in place: on a device anything may stand there. */
  clearGaps<T extends Float32Array | Float64Array>(flat: T): T {
    let end = 0;
    for (const { offset, shape } of this.specs) {
      flat.fill(0, end, offset);
      end = offset + sizeOf(shape);
    }
    flat.fill(0, end);
    return flat;
  }

  /**
   * Fresh values, each parameter from its own distribution.
   * @internal
   */
  initialise(random: PhiloxStream): Float32Array<ArrayBuffer> {
    const flat = new Float32Array(this.size);
    for (const { name, init } of this.specs) {
      const part = this.part(flat, name);
      if ("value" in init) part.fill(init.value);
      else for (let i = 0; i < part.length; i++) part[i] = (2 * random.uniform() - 1) * init.bound;
    }
    return flat;
  }
}

/** Where building blocks get their parameters from: named after the graph's scope. */
export interface ParameterSource {
  /** The parameter of the open scope and this name. */
  get(name: string, shape: readonly number[], init: Init): Tensor;
}

/**
 * Parameters as views of one flat state or input of the graph; see `unet2D`.
 *
 * @example
 * ```ts
 * import { f32, FlatParameters, Graph, ParameterLayout } from "@lung-ddpm/webgpu";
 * const layout = new ParameterLayout([{ name: "layer.w", shape: [3], init: { value: 0 } }]);
 * const g = new Graph();
 * const source = new FlatParameters(g.state("params", f32(layout.size)), layout);
 * g.scope("layer", () => source.get("w", [3])); // the tensor
 * ```
 */
export class FlatParameters implements ParameterSource {
  /** All of them. */
  readonly flat: Tensor;
  /** Where each lies. */
  readonly layout: ParameterLayout;
  /** The views handed out, by name. */
  readonly views: Map<string, Tensor> = new Map();

  /** Of the flat tensor [layout.size]. */
  constructor(flat: Tensor, layout: ParameterLayout) {
    this.flat = flat;
    this.layout = layout;
  }

  /** The parameter of the open scope and this name. */
  get(name: string, shape: readonly number[]): Tensor {
    const full = `${this.flat.graph.scopeName}.${name}`;
    let tensor = this.views.get(full);
    if (!tensor) {
      const { offset } = this.layout.get(full);
      this.views.set(full, tensor = view(this.flat, shape, offset));
    }
    return tensor;
  }
}

/** Builds a model once, only to learn which parameters it asks for. */
export function collectParameters(
  build: (graph: Graph, source: ParameterSource) => void,
): ParameterLayout {
  const graph = new Graph();
  const items: Omit<ParameterSpec, "offset">[] = [];
  build(graph, {
    get(name, shape, init) {
      const full = `${graph.scopeName}.${name}`;
      items.push({ name: full, shape: [...shape], init });
      return graph.input(full, { shape, dtype: "f32" });
    },
  });
  return new ParameterLayout(items);
}
