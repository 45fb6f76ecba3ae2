/** The picture of an epoch: what is outlined where. Labels of a chart. */

import assert from "node:assert/strict";
import type { PreparedSlice } from "../../lib/data/dataset.ts";
import { label, logTicks } from "../../lib/train/chart.ts";
import { drawGrid } from "../../lib/train/grid.ts";

Deno.test("nodules are outlined in yellow in the rows that say so, in no others", () => {
  const size = 16, noduleMask = new Float32Array(size * size);
  noduleMask[8 * size + 8] = 1;
  const lungMask = new Float32Array(size * size).fill(1);
  const condition = { ct: noduleMask, lungMask, noduleMask } as unknown as PreparedSlice;
  const yellow = (nodules?: boolean) => {
    const row = { title: "row", images: [noduleMask], conditions: [condition], nodules };
    const { data } = drawGrid([row], size, size, "");
    let count = 0;
    for (let i = 0; i < data.length; i += 3) {
      const [r, g, b] = data.subarray(i, i + 3);
      if (r > 180 && g > 150 && b < 120) count++;
    }
    return count;
  };
  assert.ok(yellow(true) > 0);
  assert.equal(yellow(false), 0);
  assert.equal(yellow(), 0);
});

Deno.test("numbers at ticks: plain from a thousandth to a million, else with an exponent", () => {
  assert.deepEqual(
    [0, 0.001, 0.000999, 25000, 999900, 1e6, -2.5e6, 1234.56].map(label),
    ["0", "0.001", "9.99e-4", "25000", "999900", "1e+6", "-2.5e+6", "1235"],
  );
});

Deno.test("a logarithmic axis has 1, 2, 5 up to three powers of ten, beyond that powers alone", () => {
  assert.deepEqual(logTicks(1e3, 1e5), [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5]);
  assert.deepEqual(logTicks(3e-3, 0.04), [2e-3, 5e-3, 0.01, 0.02, 0.05]);
  assert.deepEqual(logTicks(1e-4, 1), [1e-4, 1e-3, 0.01, 0.1, 1]);
});
