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

/** What was measured of the program as it was: seconds or memory, in the order of its readers. */
const FAULTS: Readonly<Record<string, string>> = {
  "idat_bomb.png": "4 GiB",
  "iccp_bomb.png": "4 GiB",
  "plte.png": "27 s",
  "nested.safetensors": "2 GB",
  "header.safetensors": "27 s",
  "large.xml": "19 s",
  "large.csv": "30 s and 2.5 GB",
  "sparse.series": "8.5 GB",
  "huge.npy": "6 GB",
  "elements.dcm": "13 s",
  "shared.pth": "no end",
  "reduce.pth": "killed at 4.2 GB",
  "jpegls.dcm": "8 s",
  "layers.dcm": "2.1 GB",
};

for (const [file, was] of Object.entries(FAULTS)) {
  const crafted = CRAFTED.find((one) => one.file === file)!;
  Deno.test(`${file}, ${crafted.name} (it took ${was})`, async () => {
    const folder = Deno.makeTempDirSync();
    try {
      const child = fileURLToPath(new URL("../../scripts/fuzz_read.ts", import.meta.url));
      assert.equal(excess(await measure(crafted, folder, child), MOST), null);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Slow to make, and of the same kind as others: `deno task fuzz` has them. */
const LEFT_OUT = new Set([
  ...["plte_less.png", "tiny_idat.png", "texts.png", "deflated_elements.dcm", "double.nii"],
  ...["entries.pth", "spaces.json", "large.txt", "float.nii.gz", "empty.nii.gz", "text_bomb.png"],
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
