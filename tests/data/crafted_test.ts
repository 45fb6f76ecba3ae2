/**
 * Files made to hurt their readers (lib/data/fuzz/crafted): each is refused by a short error that no
 * terminal obeys, or read. Those that once took gigabytes or minutes are read in a process of their
 * own, whose memory counts.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { CRAFTED } from "../../lib/data/fuzz/crafted/all.ts";
import { writeCrafted } from "../../lib/data/fuzz/crafted/crafted.ts";
import { readCrafted } from "../../lib/data/fuzz/crafted/read.ts";
import { excess, measure } from "../../lib/data/fuzz/measure.ts";

/** Generous for a machine with other things to do: today's faults took 8 s and more, or for ever. */
const MOST = { seconds: 10, mebibytes: 1024 };

/** What was measured of the program as it was, and which bound holds it now. */
const FAULTS: Readonly<Record<string, [was: string, reason: RegExp | null]>> = {
  "idat_bomb.png": ["4 GiB", /inflate to more than 64×64 pixels/],
  "iccp_bomb.png": ["4 GiB", null],
  "plte.png": ["27 s", /150000096 bytes, at most/],
  "nested.safetensors": ["2 GB", /nested deeper than 3/],
  "header.safetensors": ["27 s", /header of \d+ bytes, at most/],
  "large.xml": ["19 s", /bytes, at most/],
  "elements.xml": ["7 s", /more than 524288 tags/],
  "large.csv": ["30 s and 2.5 GB", /66000045 bytes, at most/],
  "sparse.series": ["8.5 GB", /1073741824 voxels, at most/],
  "many.series": ["2 GB", /in \d+ bytes on disk/],
  "huge.npy": ["6 GB", /bytes, at most/],
  "elements.dcm": ["13 s", /more than 131072 elements/],
  "items.dcm": ["13 s", /more than 131072 elements/],
  "shared.pth": ["no end", /protocol \(no text and no number\)/],
  "reduce.pth": ["killed at 4.2 GB", /hold more than 1048576 items/],
  "jpegls.dcm": ["8 s", /JPEG-LS/],
  "layers.dcm": ["2.1 GB", /65535 layers/],
  "scans.dcm": ["no end", /more than 10 scans/],
  "ones.seg": ["3 s", null],
  "data.rtstruct": ["no end", /too many points/],
  "points.rtstruct": ["9 s and 2.7 GB", /too many points/],
  "outlines.rtstruct": ["no end", /too many crossings/],
  "tables.dcm": ["8 s", /more than 64 JPEG Huffman tables/],
};

for (const [file, [was, reason]] of Object.entries(FAULTS)) {
  const crafted = CRAFTED.find((one) => one.file === file)!;
  Deno.test(`${file}, ${crafted.name} (before: ${was})`, async () => {
    const folder = Deno.makeTempDirSync();
    try {
      const child = fileURLToPath(new URL("../../scripts/fuzz_read.ts", import.meta.url));
      const found = await measure(crafted, folder, child);
      assert.equal(excess(found, MOST), null);
      if (reason) assert.match(found.refusal!, reason);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Slow to make, and of the same kind as others: `deno task fuzz` has them. */
const LEFT_OUT = new Set([
  ...["plte_less.png", "tiny_idat.png", "texts.png", "deflated_elements.dcm", "double.nii"],
  ...["entries.pth", "spaces.json", "large.txt", "float.nii.gz", "empty.nii.gz", "text_bomb.png"],
  ...["fractional.seg", "spaces.rtstruct", "regions.rtstruct", "zigzag.rtstruct"],
]);

for (const crafted of CRAFTED) {
  if (FAULTS[crafted.file] || LEFT_OUT.has(crafted.file)) continue;
  Deno.test(`${crafted.file}: ${crafted.name}`, async () => {
    const folder = Deno.makeTempDirSync(), path = `${folder}/${crafted.file}`;
    try {
      writeCrafted(crafted, path);
      const { problem, seconds } = await readCrafted(path, crafted.mayBeRead);
      assert.equal(problem, null);
      assert.ok(seconds < MOST.seconds, `${seconds} s`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

Deno.test("a reader that takes too much, dies or says too much is found", async () => {
  const outcome = { refusal: "no", problem: null, seconds: 1, mebibytes: 100, fileBytes: 2 ** 30 };
  assert.equal(excess(outcome), null);
  assert.match(excess({ ...outcome, seconds: 2.5 })!, /2\.5 s/);
  assert.equal(excess({ ...outcome, seconds: 5.5, refusal: null }), null); // a GiB was read
  assert.match(excess({ ...outcome, seconds: 6.5, refusal: null })!, /6\.5 s/);
  assert.match(excess({ ...outcome, mebibytes: 1025 })!, /1025 MiB/);
  assert.match(excess({ ...outcome, problem: "it was read" })!, /it was read/);
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/child.ts`, `if (Deno.args[0] === "read") Deno.exit(7);`);
    const died = await measure(CRAFTED[0], folder, `${folder}/child.ts`).catch(String);
    assert.match(typeof died === "string" ? died : excess(died)!, /died \(code 7\)|NotFound/);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
