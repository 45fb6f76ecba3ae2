/** Collects the rows of a grid as images come, and keeps it of a size to look at. */

import type { PreparedSlice } from "../data/dataset.ts";
import type { drawGrid } from "./grid.ts";

const MAX_COLUMNS = 8, MAX_ROWS = 8;

interface Row {
  title: string;
  images: Float32Array[];
  conditions: PreparedSlice[];
  nodules: boolean;
}

export class GridRows {
  readonly #rows = new Map<string, Row>();

  /** Adds an image to the row of this title; beyond 8 rows and columns it is left out. */
  add(title: string, image: Float32Array, condition: PreparedSlice, nodules = false): void {
    let row = this.#rows.get(title);
    if (!row) {
      if (this.#rows.size === MAX_ROWS) return;
      this.#rows.set(title, row = { title, images: [], conditions: [], nodules });
    }
    if (row.images.length === MAX_COLUMNS) return;
    row.images.push(image);
    row.conditions.push(condition);
  }

  /** For {@link drawGrid}. */
  list(): Parameters<typeof drawGrid>[0] {
    return [...this.#rows.values()];
  }
}
