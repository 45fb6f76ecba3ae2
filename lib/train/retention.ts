/** Which checkpoints stay: the newest few and the best. */

import { basename, join } from "node:path";
import { writeFileAtomic } from "../io/atomic.ts";
import { readJsonObject } from "../nn/pretrained.ts";
import { checkpointName, CHECKPOINTS, discard, listCheckpoints } from "./checkpoint.ts";
import { BEST_METRICS, type BestMetric } from "./config.ts";

const BEST_NAME = "best.json";

/** Content of checkpoints/best.json. */
export interface Best {
  readonly step: number;
  readonly metric: BestMetric;
  readonly value: number;
}

/** Whether `value` is better than what was best so far. A first number always is. */
export function isBetter(metric: BestMetric, value: number, best: Best | undefined): boolean {
  if (!Number.isFinite(value)) return false;
  if (!best || best.metric !== metric) return true;
  const higher = metric === "psnr" || metric === "ssim";
  return higher ? value > best.value : value < best.value;
}

/** The best checkpoint of a run so far, or nothing where there is none (any more). */
export async function readBest(run: string): Promise<Best | undefined> {
  const root = join(run, CHECKPOINTS);
  const raw = await readJsonObject(join(root, BEST_NAME)).catch(() => undefined);
  if (!raw || !BEST_METRICS.includes(raw.metric as BestMetric)) return undefined;
  const best = raw as unknown as Best;
  const there = (await listCheckpoints(run)).some((p) => basename(p) === checkpointName(best.step));
  return there && Number.isFinite(best.value) ? best : undefined;
}

export async function writeBest(run: string, best: Best): Promise<void> {
  await writeFileAtomic(join(run, CHECKPOINTS, BEST_NAME), JSON.stringify(best, null, 2) + "\n");
}

/** Removes all but the `keep` newest checkpoints and the best. */
export async function prune(run: string, keep: number, best: Best | undefined): Promise<void> {
  const spared = best && checkpointName(best.step);
  for (const folder of (await listCheckpoints(run)).slice(keep)) {
    if (basename(folder) !== spared) await discard(folder);
  }
}
