/** A picture to look at: prepared slices with the outlines of lungs and nodules. */

import { join } from "node:path";
import { writeFileAtomic } from "../../io/atomic.ts";
import { Canvas, CHARACTER, COLOURS } from "../../io/canvas.ts";
import { readNpy } from "../../io/npy_file.ts";
import { resizeBilinear, resizeNearest } from "../resize.ts";
import { windowHu } from "../window.ts";
import { readRecord } from "./manifest.ts";
import type { SeriesJob } from "./types.ts";

const TILE = 192;
const CAPTION = 2 * CHARACTER.height + 2;
const COLUMNS = 8;

interface Pick {
  output: string;
  caption: [string, string];
}

/**
 * Writes `contact_sheet.png`: up to `count` slices, evenly from all series and from foot to head.
 * Lungs are outlined in green, nodules in red.
 */
export async function writeContactSheet(
  out: string,
  jobs: readonly SeriesJob[],
  count = 48,
): Promise<void> {
  const picks = await pickSlices(jobs, count);
  if (picks.length === 0) return;
  const columns = Math.min(COLUMNS, picks.length), rows = Math.ceil(picks.length / columns);
  const canvas = new Canvas(columns * (TILE + 4), rows * (TILE + CAPTION + 4));
  for (const [i, { output, caption }] of picks.entries()) {
    const x = i % columns * (TILE + 4) + 2, y = Math.floor(i / columns) * (TILE + CAPTION + 4) + 2;
    const read = async (kind: string) => {
      const { data, shape: [height, width] } = await readNpy(
        join(out, output.replace(/_slice_(\d+\.npy)$/, `${kind}_$1`)),
      );
      return { data, height, width };
    };
    const ct = await read("_slice");
    // Fit the longer side, so that what is square in the body is square here.
    const scale = TILE / Math.max(ct.height, ct.width);
    const size = {
      height: Math.max(1, Math.round(ct.height * scale)),
      width: Math.max(1, Math.round(ct.width * scale)),
    };
    const hu = Float32Array.from(ct.data as Int16Array);
    canvas.image(x, y, {
      data: resizeBilinear(windowHu(hu), ct, size, { antialias: true }),
      ...size,
    });
    for (const [kind, colour] of [["_lung_mask", "green"], ["_nodule_mask", "red"]] as const) {
      const mask = await read(kind);
      const data = resizeNearest(mask.data as Uint8Array, mask, size);
      canvas.outline(x, y, { data, ...size }, COLOURS[colour]);
    }
    caption.forEach((line, n) =>
      canvas.text(x, y + TILE + 2 + n * CHARACTER.height, line.slice(0, 32), COLOURS.white)
    );
  }
  await writeFileAtomic(join(out, "contact_sheet.png"), canvas.toPng());
}

async function pickSlices(jobs: readonly SeriesJob[], count: number): Promise<Pick[]> {
  const chosen = evenly(jobs, Math.min(count, jobs.length));
  const each = Math.max(1, Math.floor(count / Math.max(1, chosen.length)));
  const picks: Pick[] = [];
  for (const job of chosen) {
    const record = await readRecord(job);
    const slices = record?.slices.filter((slice) => slice.output) ?? [];
    for (const slice of evenly(slices, each)) {
      const number = /_slice_(\d+)\.npy$/.exec(slice.output!)![1];
      const nodules = slice.nodules.map((i) => `${record!.nodules[i].diameterMm.toFixed(0)}`);
      picks.push({
        output: slice.output!,
        caption: [
          `${job.patient.slice(-18)} ${job.scan > 1 ? `s${job.scan} ` : ""}${number}`,
          `z ${slice.z.toFixed(1)}${nodules.length ? ` nodule ${nodules.join(",")} mm` : ""}`,
        ],
      });
    }
  }
  return picks;
}

/** `count` of `items`, evenly spread, first to last. */
function evenly<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, i) => items[Math.floor((i + 0.5) * items.length / count)],
  );
}
