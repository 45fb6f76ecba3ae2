/**
 * InceptionV3 as FID means it: the TensorFlow graph of 2015-12-05, after torch-fidelity's
 * `feature_extractor_inceptionv3.py`, whose names the weights have. It differs from torchvision's:
 * 1008 classes, average pools that leave padding out of the count, and a maximum pool in the last
 * block. Batch norms (eps 1e-3, running statistics) are folded into the convolutions.
 */

import { InputError } from "../errors.ts";
import type { Graph } from "../graph/graph.ts";
import type { Tensor } from "../graph/tensor.ts";
import { concat } from "../ops/concat/op.ts";
import { conv2d } from "../ops/conv2d/op.ts";
import { conv2dFlat, flatSize } from "../ops/conv2d/flat.ts";
import { flatPlane } from "../ops/common/flat.ts";
import { averagePool2d, maxPool2d } from "../ops/pool2d/op.ts";
import { relu } from "../ops/relu/op.ts";
import { convolvedSize } from "../ops/unfold2d/shared.ts";
import { unfold2d } from "../ops/unfold2d/op.ts";
import { view } from "../ops/view/op.ts";

/** The side that images are resized to, and the features of the last pool. */
export const INCEPTION_SIZE = 299;

export interface InceptionConfig {
  /** Every width over this number; 1 is the network itself. Smaller ones are for tests. */
  divisor: number;
  classes: number;
  /** 1 folds the first convolution over its three input channels: exact for grey images. */
  channels: 1 | 3;
}

export const INCEPTION: InceptionConfig = { divisor: 1, classes: 1008, channels: 1 };

/** [name, output channels, kernel height, width, stride, padding]; "same" keeps the size. */
type Conv = [name: string, out: number, kh: number, kw: number, stride?: number, valid?: boolean];

/** One after another; an inner array of chains is run side by side and joined. */
type Chain = (Conv | Chain[])[];
type Pool = { pool: "average" | "max stride 2" | "max same"; then: Chain };
type Block = { name: string; branches: (Chain | Pool)[] };

const V = true; // valid: no padding
const STEM: (Conv | "pool")[] = [
  ["Conv2d_1a_3x3", 32, 3, 3, 2, V],
  ["Conv2d_2a_3x3", 32, 3, 3, 1, V],
  ["Conv2d_2b_3x3", 64, 3, 3],
  "pool",
  ["Conv2d_3b_1x1", 80, 1, 1],
  ["Conv2d_4a_3x3", 192, 3, 3, 1, V],
  "pool",
];

const blockA = (name: string, pooled: number): Block => ({
  name,
  branches: [
    [["branch1x1", 64, 1, 1]],
    [["branch5x5_1", 48, 1, 1], ["branch5x5_2", 64, 5, 5]],
    [
      ["branch3x3dbl_1", 64, 1, 1],
      ["branch3x3dbl_2", 96, 3, 3],
      ["branch3x3dbl_3", 96, 3, 3],
    ],
    { pool: "average", then: [["branch_pool", pooled, 1, 1]] },
  ],
});

const blockC = (name: string, c7: number): Block => ({
  name,
  branches: [
    [["branch1x1", 192, 1, 1]],
    [["branch7x7_1", c7, 1, 1], ["branch7x7_2", c7, 1, 7], ["branch7x7_3", 192, 7, 1]],
    [
      ["branch7x7dbl_1", c7, 1, 1],
      ["branch7x7dbl_2", c7, 7, 1],
      ["branch7x7dbl_3", c7, 1, 7],
      ["branch7x7dbl_4", c7, 7, 1],
      ["branch7x7dbl_5", 192, 1, 7],
    ],
    { pool: "average", then: [["branch_pool", 192, 1, 1]] },
  ],
});

const blockE = (name: string, pool: Pool["pool"]): Block => ({
  name,
  branches: [
    [["branch1x1", 320, 1, 1]],
    [
      ["branch3x3_1", 384, 1, 1],
      [[["branch3x3_2a", 384, 1, 3]], [["branch3x3_2b", 384, 3, 1]]],
    ],
    [
      ["branch3x3dbl_1", 448, 1, 1],
      ["branch3x3dbl_2", 384, 3, 3],
      [[["branch3x3dbl_3a", 384, 1, 3]], [["branch3x3dbl_3b", 384, 3, 1]]],
    ],
    { pool, then: [["branch_pool", 192, 1, 1]] },
  ],
});

const BLOCKS: Block[] = [
  blockA("Mixed_5b", 32),
  blockA("Mixed_5c", 64),
  blockA("Mixed_5d", 64),
  {
    name: "Mixed_6a",
    branches: [
      [["branch3x3", 384, 3, 3, 2, V]],
      [
        ["branch3x3dbl_1", 64, 1, 1],
        ["branch3x3dbl_2", 96, 3, 3],
        ["branch3x3dbl_3", 96, 3, 3, 2, V],
      ],
      { pool: "max stride 2", then: [] },
    ],
  },
  blockC("Mixed_6b", 128),
  blockC("Mixed_6c", 160),
  blockC("Mixed_6d", 160),
  blockC("Mixed_6e", 192),
  {
    name: "Mixed_7a",
    branches: [
      [["branch3x3_1", 192, 1, 1], ["branch3x3_2", 320, 3, 3, 2, V]],
      [
        ["branch7x7x3_1", 192, 1, 1],
        ["branch7x7x3_2", 192, 1, 7],
        ["branch7x7x3_3", 192, 7, 1],
        ["branch7x7x3_4", 192, 3, 3, 2, V],
      ],
      { pool: "max stride 2", then: [] },
    ],
  },
  blockE("Mixed_7b", "average"),
  blockE("Mixed_7c", "max same"),
];

/** The names of the stages whose values `inception` reports, in order. */
export const INCEPTION_STAGES: readonly string[] = [
  ...STEM.flatMap((conv) => conv === "pool" ? [] : [conv[0]]),
  ...BLOCKS.map(({ name }) => name),
];

/** Images as flat planes (lib/ops/common/flat.ts). */
export interface Planes {
  /** [N, C, 1, P] */
  tensor: Tensor;
  size: readonly [height: number, width: number];
  /** Elements from row to row: more than the width after a convolution without padding. */
  pitch: number;
}

export interface InceptionTensors {
  /** After each stage's ReLU or concatenation. */
  stages: Map<string, Planes>;
  /** Flat planes of one pixel, [N, 2048, 1, 4]: see `planePixels`. */
  features: Tensor;
  /** [N, 1008, 1, 4], without the bias: torch-fidelity's "logits_unbiased". */
  logits: Tensor;
}

/** Flat planes without what lies past their pixels. */
export function planePixels(
  data: Float32Array,
  { size: [height, width], pitch }: Omit<Planes, "tensor">,
): Float32Array {
  const plane = flatPlane(height * pitch), count = data.length / plane;
  const out = new Float32Array(count * height * width);
  for (let row = 0; row < count * height; row++) {
    const at = Math.floor(row / height) * plane + row % height * pitch;
    out.set(data.subarray(at, at + width), row * width);
  }
  return out;
}

/** How a plane of one value lies: the features, and the logits. */
export const ONE_PIXEL: Omit<Planes, "tensor"> = { size: [1, 1], pitch: 1 };

/**
 * Appends the network. Weights are states named as torch-fidelity's modules, `NAME.weight` and
 * `NAME.bias` (see `foldInception`), and `fc.weight`.
 *
 * @param x [N, config.channels, H, W] in [−1, 1), (byte − 128)/128
 */
export function inception(
  graph: Graph,
  x: Tensor,
  config: InceptionConfig = INCEPTION,
): InceptionTensors {
  const stages = new Map<string, Planes>();
  const conv = (
    x: Planes,
    path: string,
    [, out, kh, kw, stride = 1, valid]: Conv,
    relu = true,
  ): Planes =>
    graph.scope(path, () => {
      const channels = Math.round(out / config.divisor), inputs = x.tensor.shape[1];
      const shape = [channels, inputs, kh, kw];
      const weight = graph.state(`${path}.weight`, { shape, dtype: "f32" });
      const bias = graph.state(`${path}.bias`, { shape: [channels], dtype: "f32" });
      const padding = valid ? [0, 0] as const : [(kh - 1) / 2, (kw - 1) / 2] as const;
      const { size, pitch } = x;
      if (stride === 1) {
        const tensor = conv2dFlat(x.tensor, weight, bias, { size, pitch, padding, relu });
        return { tensor, size: flatSize(shape, { size, padding }), pitch };
      }
      if (pitch !== size[1]) throw new Error(`${path}: unfold2d takes rows without gaps`);
      const unfolding = { size, window: [kh, kw], stride, padding } as const;
      const to = convolvedSize(unfolding);
      const matrix = view(weight, [channels, inputs * kh * kw, 1, 1]);
      const flat = { size: to, pitch: to[1], padding: [0, 0], relu } as const;
      const tensor = conv2dFlat(unfold2d(x.tensor, unfolding), matrix, bias, flat);
      return { tensor, size: to, pitch: to[1] };
    });
  const join = (parts: Planes[]): Planes => ({
    ...parts[0],
    tensor: concat(parts.map(({ tensor }) => tensor), 1),
  });
  const chain = (x: Planes, block: string, steps: Chain): Planes =>
    steps.reduce<Planes>(
      (y, step) =>
        isConv(step)
          ? conv(y, `${block}.${step[0]}`, step)
          : join(step.map((inner) => chain(y, block, inner))),
      x,
    );
  const pool = ({ tensor, size, pitch }: Planes, kind: Pool["pool"]): Planes => {
    const [stride, padding] = kind === "max stride 2" ? [2, 0] : [1, 1];
    const pooled = kind === "average" ? averagePool2d : maxPool2d;
    const to = convolvedSize({ size, window: [3, 3], stride, padding: [padding, padding] });
    return {
      tensor: pooled(tensor, { window: 3, stride, padding, flat: size, pitch }),
      size: to,
      pitch: to[1],
    };
  };
  const poolBranch = (x: Planes, block: string, { pool: kind, then }: Pool): Planes => {
    const [last] = then;
    if (kind !== "average" || !isConv(last)) return chain(pool(x, kind), block, then);
    // The mean of the few channels after the 1×1 convolution is that convolution of the mean of
    // the many before it, bias included.
    const mean = pool(conv(x, `${block}.${last[0]}`, last, false), kind);
    return { ...mean, tensor: relu(mean.tensor) };
  };
  let planes: Planes = { tensor: x, size: [x.shape[2], x.shape[3]], pitch: x.shape[3] };
  for (const step of STEM) {
    if (step === "pool") planes = pool(planes, "max stride 2");
    else stages.set(step[0], planes = conv(planes, step[0], step));
  }
  for (const { name, branches } of BLOCKS) {
    const from = planes;
    planes = join(
      branches.map((branch) =>
        Array.isArray(branch) ? chain(from, name, branch) : poolBranch(from, name, branch)
      ),
    );
    stages.set(name, planes);
  }
  const features = averagePool2d(planes.tensor, { window: planes.size, flat: planes.size });
  const fc = graph.state("fc.weight", {
    shape: [config.classes, features.shape[1], 1, 1],
    dtype: "f32",
  });
  return { stages, features, logits: conv2d(features, fc) };
}

function isConv(step: Conv | Chain[]): step is Conv {
  return typeof step[0] === "string";
}

/** torch-fidelity's tensor names and shapes for the states of a graph with the network. */
export function fidelityShapes(graph: Graph): Map<string, number[]> {
  const shapes = new Map<string, number[]>();
  for (const [name, { shape }] of graph.states) {
    if (name === "fc.weight") shapes.set(name, shape.slice(0, 2)).set("fc.bias", shape.slice(0, 1));
    else if (name.endsWith(".weight")) {
      const path = name.slice(0, -".weight".length);
      const input = path === STEM[0][0] ? 3 : shape[1];
      shapes.set(`${path}.conv.weight`, [shape[0], input, shape[2], shape[3]]);
      for (const part of ["weight", "bias", "running_mean", "running_var"]) {
        shapes.set(`${path}.bn.${part}`, [shape[0]]);
      }
    }
  }
  return shapes;
}

/** The part of a tensor file that folding needs. */
export type NamedTensors = ReadonlyMap<
  string,
  { shape: number[]; data: ArrayLike<number | bigint> }
>;

/**
 * The states of `inception` from torch-fidelity's state dict: w·γ/√(σ² + 1e-3) and
 * β − μ·γ/√(σ² + 1e-3), in float64, rounded once.
 *
 * @throws InputError where a tensor is missing or not of its shape.
 */
export function foldInception(
  graph: Graph,
  weights: NamedTensors,
  config: InceptionConfig = INCEPTION,
): Map<string, Float32Array> {
  const states = new Map<string, Float32Array>();
  const take = (name: string, shape: readonly number[]): Float64Array => {
    const found = weights.get(name);
    if (!found || found.shape.join() !== shape.join()) {
      throw new InputError(
        `Inception weights: "${name}" must be [${shape}], got ` +
          (found ? `[${found.shape}]` : "none"),
      );
    }
    return Float64Array.from(found.data as ArrayLike<number>);
  };
  for (const [name, { shape }] of graph.states) {
    if (name === "fc.weight") {
      states.set(name, Float32Array.from(take(name, shape.slice(0, 2))));
      continue;
    }
    if (!name.endsWith(".weight")) continue;
    const path = name.slice(0, -".weight".length);
    const [out, channels, kh, kw] = shape;
    const first = path === STEM[0][0] && config.channels === 1;
    let weight = take(`${path}.conv.weight`, first ? [out, 3, kh, kw] : shape);
    if (first) weight = overChannels(weight, out, kh * kw);
    const [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
      .map((part) => take(`${path}.bn.${part}`, [out]));
    const scale = gamma.map((value, i) => value / Math.sqrt(variance[i] + 1e-3));
    const each = channels * kh * kw;
    states.set(name, Float32Array.from(weight, (value, i) => value * scale[Math.floor(i / each)]));
    states.set(`${path}.bias`, Float32Array.from(beta, (value, i) => value - mean[i] * scale[i]));
  }
  return states;
}

/** [out, 3, taps] summed over the three: what a grey image sees. */
function overChannels(weight: Float64Array, out: number, taps: number): Float64Array {
  return Float64Array.from({ length: out * taps }, (_, i) => {
    const o = Math.floor(i / taps), tap = i % taps;
    return weight[(o * 3) * taps + tap] + weight[(o * 3 + 1) * taps + tap] +
      weight[(o * 3 + 2) * taps + tap];
  });
}
