/** y = scaleA·a + scaleB·b, elementwise. */

import { gridFor, input, type KernelSource, output } from "../../graph/kernel_call.ts";
import { type OpDef, trafficOf, type Variant } from "../../graph/op.ts";
import { sizeOf, type Tensor } from "../../graph/tensor.ts";
import {
  ELEMENTWISE,
  f32,
  kernel,
  requireAlike,
  requireStored,
  storedAs,
} from "../common/checks.ts";
import { storing, storingOn } from "../common/subgroup_sharing.ts";
import { storageOrStaged } from "../common/vectorized_access.ts";
import { scale } from "../scale/op.ts";
import stagedLibrary from "../../../kernels/lib/staged.wgsl" with { type: "text" };
import stagedText from "../../../kernels/add/forward_staged.wgsl" with { type: "text" };
import text from "../../../kernels/add/forward.wgsl" with { type: "text" };

const ADD = kernel("add/forward.wgsl", text);

const ADD_STAGED = storing("add/forward_staged.wgsl", stagedText, stagedLibrary);

/**
 * scaleA·a + scaleB·b, elementwise; a and b of one shape and type.
 *
 * @example
 * ```ts
 * import { add, f32, Graph, interpret, OPS } from "@lung-ddpm/webgpu";
 * const g = new Graph();
 * const a = g.input("a", f32(2)), b = g.input("b", f32(2));
 * g.output("y", add(a, b));
 * interpret(g, OPS, { a: [1, 2], b: [3, 4] }).outputs.get("y"); // [4, 6]
 * ```
 */
export function add(a: Tensor, b: Tensor, scaleA = 1, scaleB = 1): Tensor {
  return a.graph.append(addOp, [a, b], { scaleA, scaleB })[0];
}

/** Factors of a and b; 1 by default. */
interface AddAttrs {
  readonly scaleA?: number;
  readonly scaleB?: number;
}

export const addOp: OpDef<AddAttrs> = {
  name: "add",
  infer([a, b]) {
    requireStored("a", a);
    requireAlike("b", b, "a", a);
    return [a];
  },
  half: () => [{ inputs: [0, 1], outputs: [0] }],
  vjp({ attrs: { scaleA = 1, scaleB = 1 } }, [dy], needs) {
    const part = (s: number) => s === 1 ? dy! : scale(dy!, s);
    return [needs[0] ? part(scaleA) : undefined, needs[1] ? part(scaleB) : undefined];
  },
  reference([a, b], { scaleA = 1, scaleB = 1 }) {
    return [a.map((v, i) => scaleA * v + scaleB * b[i])];
  },
  lower({ inputs: [a], attrs: { scaleA = 1, scaleB = 1 }, device }) {
    const count4 = Math.ceil(sizeOf(a.shape) / 4);
    const variant = (name: string, source: KernelSource, store: 4 | "staged 4"): Variant => ({
      name,
      exact: true,
      build: () => ({
        calls: [{
          kernel: source,
          specialize: storedAs(a.dtype, store),
          params: { count4, scale_a: scaleA, scale_b: scaleB },
          bindings: { a: input(0), b: input(1), y: output() },
          workgroups: gridFor(count4, ELEMENTWISE),
        }],
      }),
    });
    const vec4 = variant("vec4", ADD, 4);
    return storageOrStaged(
      device,
      [a],
      vec4,
      variant("staged", ADD_STAGED[storingOn(device)], "staged 4"),
    );
  },
  cost: (inputs, outputs) => ({
    flops: 3 * sizeOf(outputs[0].shape),
    bytes: trafficOf(inputs, outputs),
  }),
  // Two roundings of relative size 2^-24 each, plus one for the sum.
  cases: [
    { name: "odd", inputs: [f32(3, 6, 17), f32(3, 6, 17)], attrs: {}, tolerance: 3e-7 },
    {
      name: "scaled",
      inputs: [f32(1, 5), f32(1, 5)],
      attrs: { scaleA: 0.5, scaleB: -2 },
      tolerance: 3e-7,
    },
  ],
};
