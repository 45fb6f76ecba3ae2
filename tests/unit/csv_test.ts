/** CSV cells that spreadsheets would run, and their way back. */

import assert from "node:assert/strict";
import { parse } from "csv-parse/sync";
import { csvText, fromCsvText } from "../../lib/io/csv.ts";
import { escapeHtml } from "../../lib/io/html.ts";

const TEXTS = [
  '=HYPERLINK("http://x";"y")',
  "+1",
  "-2+3",
  "@SUM(A1)",
  "\tx",
  "\rx",
  "'quoted",
  "'=1",
  "plain",
  "",
  'a,"b"\nc',
  "guidance 2",
  "1.2.840.10008",
];

Deno.test("CSV: no cell begins with what a spreadsheet runs, and all come back unchanged", () => {
  const text = TEXTS.map((t) => `${csvText(t)},1\n`).join("");
  const rows: string[][] = parse(text);
  assert.deepEqual(rows.map(([cell]) => fromCsvText(cell)), TEXTS);
  for (const [cell] of rows) assert.doesNotMatch(cell, /^[=+\-@\t\r]/);
  assert.equal(csvText("plain"), "plain");
});

Deno.test("HTML: text cannot become an element, an attribute or an entity", () => {
  assert.equal(
    escapeHtml(`<b a="1" c='2'>&amp;`),
    "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;",
  );
  assert.equal(escapeHtml(3), "3");
});
