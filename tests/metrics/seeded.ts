/** Weights and images that tests/reference/make_networks.py makes as well. */

import type { Graph } from "../../lib/graph/graph.ts";
import type { NamedTensors } from "../../lib/metrics/inception.ts";
import { uniforms } from "./shared.ts";

/** `fill` of tests/reference/make_networks.py. */
export function fill(shapes: Map<string, number[]>): NamedTensors {
  const names = [...shapes.keys()].sort();
  return new Map(names.map((name, seed) => {
    const shape = shapes.get(name)!;
    const u = uniforms(shape.reduce((a, b) => a * b, 1), seed);
    const spread = Math.sqrt(6 / shape.slice(1).reduce((a, b) => a * b, 1));
    const value = shape.length > 1
      ? (v: number) => (2 * v - 1) * spread
      : name.endsWith("running_var")
      ? (v: number) => 0.5 + v
      : name.endsWith("bn.weight")
      ? (v: number) => 0.75 + v / 2
      : (v: number) => (v - 0.5) / 4;
    return [name, { shape, data: Float32Array.from(u, value) }];
  }));
}

/** `image` of the same file. */
export function image(channels: number, side: number, seed: number): Float32Array {
  return Float32Array.from(
    uniforms(channels * side * side, seed),
    (v) => (Math.floor(v * 256) - 128) / 128,
  );
}

/** torch-fidelity's tensor names and shapes for the states of a graph. */
export function fidelityShapes(graph: Graph, classes: number): Map<string, number[]> {
  const shapes = new Map<string, number[]>([["fc.bias", [classes]]]);
  for (const [name, { shape }] of graph.states) {
    if (name === "fc.weight") shapes.set(name, shape.slice(0, 2));
    else if (name.endsWith(".weight")) {
      const path = name.slice(0, -".weight".length);
      const input = path === "Conv2d_1a_3x3" ? 3 : shape[1];
      shapes.set(`${path}.conv.weight`, [shape[0], input, shape[2], shape[3]]);
      for (const part of ["weight", "bias", "running_mean", "running_var"]) {
        shapes.set(`${path}.bn.${part}`, [shape[0]]);
      }
    }
  }
  return shapes;
}
