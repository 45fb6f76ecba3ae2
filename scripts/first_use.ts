/** Says what happens while kernels are chosen for a GPU that is new here. */

import { type Progress, progressBar } from "../lib/cli/main.ts";
import type { Gpu } from "../lib/gpu/device.ts";
import { FIRST_USE_SECONDS, tuneOnFirstUse } from "../lib/tune/first_use.ts";
import type { TunedStep } from "../lib/tune/tune.ts";

export const NO_TUNE = [
  "--no-tune",
  `do not choose kernels, ${FIRST_USE_SECONDS} s at most, when a GPU is new`,
] as const;

/** `tuneOnFirstUse` with its progress on standard error. */
export async function firstUse(
  gpu: Gpu,
  steps: () => readonly TunedStep[],
  isStopped?: () => boolean,
): Promise<void> {
  let bar: Progress | undefined;
  const result = await tuneOnFirstUse(gpu, steps, {
    isStopped,
    onStart(path, shapes) {
      console.error(
        `first use of ${gpu.name}: choosing kernels for ${shapes} shapes, ` +
          `${FIRST_USE_SECONDS} s at most; \`./run tune\` does the rest: ${path}`,
      );
      bar = progressBar("tuning", shapes, "{what}");
    },
    onProgress: (done, _, what) => bar?.update(done, { what }),
  });
  bar?.stop();
  if (!result) return;
  const { changed, rejected, left } = result;
  console.error(
    `${changed.length} better than shipped, ${rejected.length} left out as wrong, ${left} not timed`,
  );
}
