/** Memory seen otherwise: `view` (slice or reshape, no copy) and `pack` (many tensors, one buffer). */

import type { OpDef } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";

/**
 * `shape` elements of x from element `offset` on, row-major, sharing its memory.
 * Offsets other than 0 must be multiples of 64 elements, WebGPU's binding alignment.
 *
 * @example
 * ```ts
 * import { f32, Graph, interpret, OPS, view } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const x = g.input("x", f32(4));
 * g.output("y", view(x, [2, 2]));
 * interpret(g, OPS, { x: [1, 2, 3, 4] }).outputs.get("y"); // the same, of shape [2, 2]
 * ```
 */
export function view(x: Tensor, shape: readonly number[], offset = 0): Tensor {
  return x.graph.append(viewOp, [x], { shape: [...shape], offset })[0];
}

interface ViewAttrs {
  readonly shape: readonly number[];
  /** In elements. */
  readonly offset: number;
}

export const viewOp: OpDef<ViewAttrs> = {
  name: "view",
  infer([x], { shape, offset }) {
    if (offset % 64) throw new Error(`offset ${offset} must be a multiple of 64 elements`);
    if (offset + sizeOf(shape) > sizeOf(x.shape)) {
      throw new Error(`offset ${offset} and shape [${shape}] must lie within x [${x.shape}]`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  // Other offsets, in elements of 2 bytes, would not meet the alignment of bindings.
  half: ({ offset }) => offset === 0 ? [{ inputs: [0], outputs: [0] }] : [],
  vjp({ inputs: [x], outputs: [y] }, [dy]) {
    if (sizeOf(y.shape) !== sizeOf(x.shape)) {
      throw new Error("a view of a part has no gradient: differentiate with respect to the view");
    }
    return [view(dy!, x.shape)];
  },
  reference: ([x], { shape, offset }) => [x.slice(offset, offset + sizeOf(shape))],
  alias: ({ offset }) => ({ kind: "view", offset }),
  lower: () => [],
  cost: () => ({ flops: 0, bytes: 0 }),
  cases: [],
};

/** One flat tensor of `size` elements with inputs[i] at element offsets[i]; gaps hold zeros. */
export function pack(tensors: readonly Tensor[], offsets: readonly number[], size: number): Tensor {
  return tensors[0].graph.append(packOp, tensors, { offsets: [...offsets], size })[0];
}

interface PackAttrs {
  /** In elements. */
  readonly offsets: readonly number[];
  readonly size: number;
}

export const packOp: OpDef<PackAttrs> = {
  name: "pack",
  infer(inputs, { offsets, size }) {
    inputs.forEach((t, i) => {
      if (offsets[i] % 64) {
        throw new Error(`offset ${offsets[i]} must be a multiple of 64 elements`);
      }
      const end = offsets[i] + sizeOf(t.shape);
      if (end > (offsets[i + 1] ?? size)) {
        throw new Error(
          `input ${i} [${t.shape}] at ${offsets[i]} must end by ${offsets[i + 1] ?? size}`,
        );
      }
    });
    return [{ shape: [size], dtype: inputs[0].dtype }];
  },
  vjp: "non-differentiable",
  reference(inputs, { offsets, size }) {
    const flat = new Float64Array(size);
    inputs.forEach((t, i) => flat.set(t, offsets[i]));
    return [flat];
  },
  alias: ({ offsets }) => ({ kind: "pack", offsets }),
  lower: () => [],
  cost: () => ({ flops: 0, bytes: 0 }),
  cases: [],
};
