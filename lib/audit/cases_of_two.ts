/**
 * Cases whose first input is two tensors, as what a model joins is on a GPU: kernels read both
 * (lib/plan/concat_elision.ts).
 */

import { Graph } from "../graph/graph.ts";
import type { DeviceProfile, OpCase, OpDef, Variant } from "../graph/op.ts";
import { sizeOf, type TensorType } from "../graph/tensor.ts";
import { concat, sliceOp } from "../ops/concat/op.ts";

/** Elements of all inputs. */
export const elementsOf = (test: OpCase): number =>
  test.inputs.reduce((sum, t) => sum + sizeOf(t.shape), 0);

/** Channels of the first of two tensors that an image of so many is cut into: not half of them. */
const cutAt = (channels: number) => Math.ceil(channels / 3);

/** Names, first channels and numbers of channels of the two. */
const partsOf = (channels: number) =>
  [
    ["in0 first", 0, cutAt(channels)],
    ["in0 rest", cutAt(channels), channels - cutAt(channels)],
  ] as const;

/** The case with its first input as two tensors, joined along the channels; undefined where it has none. */
export function twoGraph(def: OpDef, test: OpCase): Graph | undefined {
  const [{ shape, dtype }, ...others] = test.inputs;
  if (shape.length !== 4 || shape[1] < 2 || def.inPlace) return undefined;
  const graph = new Graph();
  const parts = partsOf(shape[1]).map(([name, , length]) =>
    graph.input(name, { shape: shape.with(1, length), dtype })
  );
  const inputs = others.map((type, i) => graph.input(`in${i + 1}`, type));
  graph.append(def, [concat(parts, 1), ...inputs], test.attrs).forEach((t, i) =>
    graph.output(`out${i}`, t)
  );
  return graph;
}

/** Values of the two, from those of the first input. */
export function twoFeeds(type: TensorType, values: Float64Array): Record<string, Float64Array> {
  return Object.fromEntries(
    partsOf(type.shape[1]).map(([name, start, length]) => {
      const part = { ...type, shape: type.shape.with(1, length) };
      return [name, sliceOp.reference([values], { axis: 1, start, length }, [type], [part])[0]];
    }),
  );
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
