/**
 * AlexNet ("one weird trick", torchvision's layout) up to its fifth ReLU: the network of LPIPS
 * "alex".
 */

import { InputError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { conv2d } from "../ops/conv2d/op.ts";
import { maxPool2d } from "../ops/pool2d/op.ts";
import { relu } from "../ops/relu/op.ts";
import type { NamedTensors } from "./inception.ts";
import { LPIPS_CHANNELS, LPIPS_SCALE, LPIPS_SHIFT } from "./lpips.ts";

/** torchvision's index in `features`, kernel, stride, padding; `pool` comes before. */
const LAYERS = [
  { index: 0, kernel: 11, stride: 4, padding: 2, pool: false },
  { index: 3, kernel: 5, stride: 1, padding: 2, pool: true },
  { index: 6, kernel: 3, stride: 1, padding: 1, pool: true },
  { index: 8, kernel: 3, stride: 1, padding: 1, pool: false },
  { index: 10, kernel: 3, stride: 1, padding: 1, pool: false },
] as const;

/** The smallest image whose fifth tap has a pixel. */
export const ALEXNET_SMALLEST = 31;

/**
 * Appends the network; its states are torchvision's `features.K.weight` and `.bias`.
 *
 * @param x [N, 3, H, W], scaled as `lpipsInput` does
 * @param divisor every width over this number; more than 1 is for tests
 * @returns the five taps, [N, C, h, w] each
 */
export function alexnet(graph: Graph, x: Tensor, divisor = 1): Tensor[] {
  return LAYERS.map(({ index, kernel, stride, padding, pool }, layer) =>
    graph.scope(`features.${index}`, () => {
      if (pool) x = maxPool2d(x, { window: 3, stride: 2 });
      const channels = LPIPS_CHANNELS[layer] / divisor;
      const shape = [channels, x.shape[1], kernel, kernel];
      const weight = graph.state(`features.${index}.weight`, { shape, dtype: "f32" });
      const bias = graph.state(`features.${index}.bias`, { shape: [channels], dtype: "f32" });
      return x = relu(conv2d(x, weight, { bias, stride, padding }));
    })
  );
}

/** The states of `alexnet` out of torchvision's state dict. */
export function alexnetStates(graph: Graph, weights: NamedTensors): Map<string, Float32Array> {
  return new Map([...graph.states].map(([name, { shape }]) => {
    const found = weights.get(name);
    if (!found || found.shape.join() !== shape.join()) {
      throw new InputError(
        `AlexNet weights: "${name}" must be [${shape}], got ` +
          (found ? `[${found.shape}]` : "none"),
      );
    }
    return [name, Float32Array.from(found.data as ArrayLike<number>)];
  }));
}

/** The five 1×1 heads out of the `lpips` package's file. */
export function lpipsHeads(weights: NamedTensors): Float32Array[] {
  return LPIPS_CHANNELS.map((channels, layer) => {
    const name = `lin${layer}.model.1.weight`, found = weights.get(name);
    if (!found || found.shape.join() !== `1,${channels},1,1`) {
      throw new InputError(`LPIPS heads: "${name}" must be [1,${channels},1,1]`);
    }
    return Float32Array.from(found.data as ArrayLike<number>);
  });
}

/** A grey image as the network wants it: three channels, (x − shift)/scale each. */
export function lpipsInput(image: ArrayLike<number>): Float32Array {
  const out = new Float32Array(3 * image.length);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < image.length; i++) {
      out[c * image.length + i] = (image[i] - LPIPS_SHIFT[c]) / LPIPS_SCALE[c];
    }
  }
  return out;
}
