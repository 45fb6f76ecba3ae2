/** A folder of CT with hostile files in it: the good series is prepared, the others are told of. */

import assert from "node:assert/strict";
import { CRAFTED } from "../../lib/data/fuzz/crafted/all.ts";
import { writeCrafted } from "../../lib/data/fuzz/crafted/crafted.ts";
import { writePhantomTree } from "../../lib/data/phantom_dicom.ts";
import { prepare } from "../../lib/data/prepare/prepare.ts";
import { DEFAULT_SETTINGS } from "../../lib/data/prepare/types.ts";
import { walk } from "../../lib/io/walk.ts";
import { newFolder } from "./ct_maker.ts";

const HOSTILE = ["sparse.series", "elements.dcm", "deflated.dcm", "escape.dcm", "uid.xml"]
  .concat("elements.xml", "large.csv");

Deno.test("prepare: one XML of many notes and a folder of bombs: a manifest of a few kB", async () => {
  const input = newFolder(), out = newFolder(), size = 64;
  await writePhantomTree({ out: input, seed: 3, patients: 1, slices: 10, size, detail: size });
  for (const name of HOSTILE) {
    const path = `${input}/${name === "large.csv" ? "metadata.csv" : name}`;
    if (name === "large.csv") Deno.removeSync(path);
    writeCrafted(CRAFTED.find(({ file }) => file === name)!, path);
  }
  // 900 marks with a rating that is none and outlines on slices that are none.
  const [xml] = [...walk(input)].filter((path) =>
    path.endsWith(".xml") && !/\/(uid|el)/.test(path)
  );
  const roi = "<roi><imageSOP_UID>1.2.3</imageSOP_UID></roi>".repeat(10);
  const marks = Array.from(
    { length: 900 },
    (_, i) =>
      `<unblindedReadNodule><noduleID>${i}${"n".repeat(200)}</noduleID><characteristics>` +
      `<subtlety>9</subtlety></characteristics>${roi}</unblindedReadNodule>`,
  );
  const text = Deno.readTextFileSync(xml);
  Deno.writeTextFileSync(xml, text.replace("<unblindedReadNodule>", `${marks.join("")}$&`));

  const started = performance.now(), before = Deno.memoryUsage().rss;
  const result = await prepare({
    input,
    kind: "dicom",
    out,
    settings: { ...DEFAULT_SETTINGS, minLung: 0.01, unannotated: "negative" },
    seed: 0,
    val: 0,
    test: 0,
    jobs: 1,
    contactSheet: 0,
  });
  assert.ok(performance.now() - started < 60_000);
  assert.ok(Deno.memoryUsage().rss - before < 2 ** 30);
  assert.ok(result.totals.written > 0, "the phantom's slices are there");
  const manifest = Deno.readTextFileSync(`${out}/manifest.json`);
  assert.ok(manifest.length < 200_000, `${manifest.length} bytes`);
  const { rejected, series, notes } = JSON.parse(manifest);
  const reasons: string[] = rejected.map(({ reason }: { reason: string }) => reason);
  const told = [...reasons, ...notes, ...series.flatMap((one: { notes: string[] }) => one.notes)];
  assert.ok(told.some((line) => line.includes("more than 131072 elements")), "elements.dcm");
  assert.ok(told.some((line) => line.includes("tags")), "elements.xml");
  assert.ok(told.some((line) => /metadata\.csv.*66000045 bytes/.test(line)), "metadata.csv");
  assert.match(told.join("\n"), /… and \d+ more notes/);
  for (const line of told) {
    assert.ok(line.length <= 300, line);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(line, /[\0-\x1f\x7f-\x9f\u2028-\u202e]/);
  }
});
