/** Weights and images that tests/reference/make_networks.py makes as well. */

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
