/** Files are replaced by a rename, never written in place: a kill or a full disk leaves the old one whole. */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { schedulerConfig } from "../../lib/diffusion/scheduler_config.ts";
import { writeSchedulerFile } from "../../lib/diffusion/scheduler_file.ts";
import { writeFileAtomic } from "../../lib/io/atomic.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";
import { RowCache } from "../../lib/io/row_cache.ts";
import { walk } from "../../lib/io/walk.ts";
import { writeBest } from "../../lib/train/retention.ts";
import { writeChoices } from "../../lib/tune/choice_files.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Writes a file of `folder`, in two versions. */
type Write = (folder: string, version: 0 | 1) => Promise<unknown>;

const WRITERS: Record<string, [file: string, write: Write]> = {
  "writeFileAtomic, text": ["a.txt", (f, v) => writeFileAtomic(join(f, "a.txt"), `version ${v}`)],
  "writeFileAtomic, parts": [
    "a.bin",
    (f, v) =>
      writeFileAtomic(join(f, "a.bin"), [
        Uint8Array.of(v),
        new Uint8Array(70_000),
        Uint8Array.of(9),
      ]),
  ],
  ".npy": ["a.npy", (f, v) => writeNpy(join(f, "a.npy"), [2], Float32Array.of(v, 2))],
  "best.json": [
    "checkpoints/best.json",
    (f, v) => writeBest(f, { step: v, metric: "psnr", value: 1 }),
  ],
  "tuned kernels": ["tuned.json", (f, v) => writeChoices(join(f, "tuned.json"), `gpu ${v}`, {})],
  "scheduler_config.json": ["s.json", (f, v) => {
    const name = v ? "DDPMScheduler" : "DDIMScheduler";
    return writeSchedulerFile(join(f, "s.json"), schedulerConfig({ _class_name: name }, "t"));
  }],
  "kept rows": ["rows", (f, v) => new RowCache(f).write(join(f, "rows"), Float32Array.of(v))],
};

for (const [name, [file, write]] of Object.entries(WRITERS)) {
  Deno.test(`replaced by a rename: ${name}`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await write(folder, 0);
      const path = join(folder, file), kept = join(folder, "kept");
      const before = await Deno.readFile(path);
      await Deno.link(path, kept); // the old file under a second name
      await write(folder, 1);
      assert.notDeepEqual(await Deno.readFile(path), before);
      assert.deepEqual(await Deno.readFile(kept), before, "written in place");
      const names = [...walk(folder)].map((p) => relative(folder, p)).sort();
      assert.deepEqual(names, [file, "kept"].sort(), "nothing else is left");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("what fails half-way leaves the old file and nothing beside it", async () => {
  const folder = await Deno.makeTempDir(), path = join(folder, "a");
  await writeFileAtomic(path, "old");
  function* broken() {
    yield new Uint8Array(100);
    throw new Error("no more");
  }
  await assert.rejects(writeFileAtomic(path, broken()), /no more/);
  assert.equal(await Deno.readTextFile(path), "old");
  assert.deepEqual([...Deno.readDirSync(folder)].map((e) => e.name), ["a"]);
  await Deno.remove(folder, { recursive: true });
});

/** Modules that write or open files by themselves, and why they may. */
const WRITE_THEMSELVES: Record<string, string> = {
  "lib/io/atomic.ts": "the rename itself",
  "lib/data/prepare/manifest.ts": "streams into a temporary file, then renames it",
  "lib/data/prepare/series_job.ts": "into a temporary folder, which is renamed",
  "lib/metrics/download.ts": "has no permission to read, which a rename takes; files are checked",
  "lib/train/metrics_file.ts": "appends a line",
  "lib/bench/features.ts": "throw-away input of another program",
  "lib/bench/peers.ts": "throw-away input of another program",
  "scripts/audit.ts": "the lock of this repository, under version control",
  "lib/browser/chromium.ts": "throw-away input of another process",
  "lib/browser/drive.ts": "throw-away output for the process that started it",
  "lib/cli/bundle.ts": "into a temporary folder, whose archive is renamed",
  "lib/mutate/copy.ts": "a throw-away copy of the project",
};

Deno.test("no module writes files by itself but those that say why", () => {
  const found = new Set<string>();
  for (const top of ["lib", "scripts"]) {
    for (const path of walk(join(ROOT, top))) {
      if (!path.endsWith(".ts") || path.includes("/peers/")) continue;
      const writes = /Deno\.(write(Text)?File(Sync)?|create(Sync)?)\(|Deno\.open\([^)]*write: true/;
      if (writes.test(Deno.readTextFileSync(path))) found.add(relative(ROOT, path));
    }
  }
  assert.deepEqual([...found].sort(), Object.keys(WRITE_THEMSELVES).sort());
});
