/**
 * Cases whose first input is two tensors, as what a model joins is on a GPU: kernels read both
 * (lib/gpu/joined.ts).
 */

import { Graph } from "../graph/graph.ts";
import type { DeviceProfile, OpCase, OpDef, Variant } from "../graph/op.ts";
import { sizeOf, type TensorType } from "../graph/tensor.ts";
import { concat } from "../ops/concat.ts";

/** Elements of all inputs. */
export const elementsOf = (test: OpCase): number =>
  test.inputs.reduce((sum, t) => sum + sizeOf(t.shape), 0);

/** Channels of the first of two tensors that an image of so many is cut into: not half of them. */
const cutAt = (channels: number) => Math.ceil(channels / 3);

/** The case with its first input as two tensors, joined along the channels; undefined where it has none. */
export function twoGraph(def: OpDef, test: OpCase): Graph | undefined {
  const [{ shape, dtype }, ...others] = test.inputs;
  if (shape.length !== 4 || shape[1] < 2 || def.inPlace) return undefined;
  const graph = new Graph();
  const cut = cutAt(shape[1]);
  const parts = [cut, shape[1] - cut].map((channels, i) =>
    graph.input(["in0 first", "in0 rest"][i], { shape: shape.with(1, channels), dtype })
  );
  const inputs = others.map((type, i) => graph.input(`in${i + 1}`, type));
  graph.append(def, [concat(parts, 1), ...inputs], test.attrs).forEach((t, i) =>
    graph.output(`out${i}`, t)
  );
  return graph;
}

/** Values of its first input, and those of the two. */
export function twoFeeds(
  { shape }: TensorType,
  values: Float64Array,
): Record<string, Float64Array> {
  if (shape.length !== 4) return {};
  const [images, channels, ...size] = shape;
  const plane = sizeOf(size);
  const cut = cutAt(channels) * plane;
  const all = Array.from(
    { length: images },
    (_, i) => values.subarray(i * channels * plane, (i + 1) * channels * plane),
  );
  const join = (parts: Float64Array[]) => Float64Array.from(parts.flatMap((p) => [...p]));
  return {
    "in0 first": join(all.map((image) => image.subarray(0, cut))),
    "in0 rest": join(all.map((image) => image.subarray(cut))),
  };
}

/** Elements that a variant reads at once of an image in two buffers; undefined where it cannot. */
const widthOfTwo = (variant: Variant): number | undefined =>
  variant.build().calls.find(({ kernel, bindings: { x } }) =>
    kernel.ofTwo && x?.kind === "input" && x.index === 0
  )?.kernel.ofTwo?.width;

/** Cases of each variant that are run so: each is a pipeline of its own to compile. */
const TWO_CASES = 2;

/** Device → op → variant → the names of the smallest cases that it can read from two buffers. */
const known = new WeakMap<DeviceProfile, Map<OpDef, ReadonlyMap<string, ReadonlySet<string>>>>();

function casesOfTwo(def: OpDef, device: DeviceProfile): ReadonlyMap<string, ReadonlySet<string>> {
  const ofDevice = known.get(device) ?? new Map();
  known.set(device, ofDevice);
  if (ofDevice.has(def)) return ofDevice.get(def)!;
  const found = new Map<string, Set<string>>();
  for (const test of def.cases.toSorted((a, b) => elementsOf(a) - elementsOf(b))) {
    const { inputs, attrs } = test;
    // A pixel is any other's equal where the image is constant.
    if (!twoGraph(def, test) || inputs[0].fill?.kind === "constant") continue;
    const [, channels, height, width] = inputs[0].shape;
    const part = cutAt(channels) * height * width;
    const outputs = def.infer(inputs, attrs);
    for (const variant of def.lower({ inputs, outputs, attrs, device })) {
      const names = found.get(variant.name) ?? new Set();
      const together = widthOfTwo(variant);
      if (!together || part % together || sizeOf(inputs[0].shape.slice(1)) % together) continue;
      if (names.size < TWO_CASES) found.set(variant.name, names.add(test.name));
    }
  }
  ofDevice.set(def, found);
  return found;
}

/** The case that a form of it with tensors as f16 was made from. */
const plainName = ({ name }: OpCase): string => name.replace(/, f16 in \[.*$/, "");

/** Whether the variant runs the case of two tensors as well. */
export const isRunOfTwo = (
  def: OpDef,
  test: OpCase,
  variant: string,
  device: DeviceProfile,
): boolean => casesOfTwo(def, device).get(variant)?.has(plainName(test)) ?? false;
