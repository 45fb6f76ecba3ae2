/** metrics.csv of a run: one row every few steps, more columns filled at the end of an epoch. */

import { join } from "node:path";
import { writeFileAtomic } from "../io/atomic.ts";

export const METRICS_NAME = "metrics.csv";
const COLUMNS = [
  "step",
  "epoch",
  "loss",
  "learning_rate",
  "gradient_norm",
  "images_per_second",
  "seconds",
  "psnr",
  "ssim",
  "mse",
  "loss_scale",
  "skipped_steps",
  "scored_on",
] as const;

type Column = Exclude<(typeof COLUMNS)[number], "scored_on">;
export type MetricsRow = Partial<Record<Column, number>> & {
  step: number;
  /** Whose masks and slices psnr, ssim and mse are of. */
  scored_on?: ScoredOn;
};
export type ScoredOn = "train" | "val";

/** A value that was not computed is an empty field, never 0. */
const field = (v: number | string | undefined) =>
  v === undefined
    ? ""
    : typeof v === "string"
    ? v
    : Number.isInteger(v)
    ? String(v)
    : v.toPrecision(7);

const line = (row: MetricsRow) => COLUMNS.map((c) => field(row[c])).join(",");

export class MetricsFile {
  private constructor(readonly path: string, readonly rows: MetricsRow[]) {}

  /** Opens the file of a run; rows after `step` (of a part that is run again) are dropped. */
  static async open(run: string, step: number): Promise<MetricsFile> {
    const path = join(run, METRICS_NAME);
    const header = COLUMNS.join(",");
    const text = await Deno.readTextFile(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    });
    // A row without its line end was cut off by a kill.
    const [names = "", ...lines] = text.split("\n").slice(0, -1);
    const columns = names.split(",");
    const rows = lines.map((line) => {
      const fields = line.split(",");
      const filled = columns.map((c, i) => [c, fields[i]]).filter(([, v]) => v);
      return Object.fromEntries(
        filled.map(([c, v]) => [c, c === "scored_on" ? v : Number(v)]),
      ) as MetricsRow;
    }).filter((row) => row.step <= step);
    await writeFileAtomic(path, [header, ...rows.map(line), ""].join("\n"));
    return new MetricsFile(path, rows);
  }

  async append(row: MetricsRow): Promise<void> {
    this.rows.push(row);
    await Deno.writeTextFile(this.path, line(row) + "\n", { append: true });
  }
}
