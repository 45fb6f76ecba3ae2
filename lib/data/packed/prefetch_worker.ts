/** The worker behind Prefetcher: reads slices from a packed cache into batches. */

/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />

import { type AugmentOptions, augmentPlane, drawAugmentation, isAugmenting } from "../augment.ts";
import type { Condition } from "../dataset.ts";
import type { FromWorker, ToWorker } from "./prefetch.ts";
import { PackedCache } from "./reader.ts";

let cache: PackedCache | undefined;
let augment: AugmentOptions = {};
let condition: Condition = "class";
let seed = 0;

self.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  try {
    if (data.kind === "open") {
      cache = PackedCache.open(data.path);
      augment = data.augment;
      condition = data.condition;
      seed = data.seed;
      return;
    }
    const buffers = makeBatch(cache!, data.indices, data.microStep, data.buffers);
    const answer: FromWorker = { kind: "batch", buffers };
    self.postMessage(answer, buffers);
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const answer: FromWorker = { kind: "error", name, message };
    self.postMessage(answer);
  }
};

function makeBatch(
  from: PackedCache,
  indices: readonly number[],
  microStep: number,
  given: ArrayBuffer[],
): ArrayBuffer[] {
  const { height, width, labels } = from.index, pixels = height * width;
  const bytes = 4 * pixels * indices.length;
  const fits = given.length === 4 && given.every((buffer) => buffer.byteLength === bytes);
  const buffers = fits ? given : [0, 1, 2, 3].map(() => new ArrayBuffer(bytes));
  const [ct, lung, nodule, classes] = buffers.map((buffer) => new Float32Array(buffer));
  const size = { height, width };
  indices.forEach((slice, i) => {
    const part = (plane: Float32Array) => plane.subarray(i * pixels, (i + 1) * pixels);
    const planes = { ct: part(ct), lungMask: part(lung), noduleMask: part(nodule) };
    from.read(slice, planes);
    if (isAugmenting(augment)) {
      const how = drawAugmentation(augment, size, seed, microStep, i);
      const isMask = condition === "class"; // coverage is resampled as CT is
      augmentPlane(planes.ct.slice(), size, how, false, planes.ct);
      augmentPlane(planes.lungMask.slice(), size, how, true, planes.lungMask);
      augmentPlane(planes.noduleMask.slice(), size, how, isMask, planes.noduleMask);
    }
    if (condition === "class") part(classes).fill(labels[slice]);
    else part(classes).set(planes.noduleMask);
  });
  return buffers;
}
