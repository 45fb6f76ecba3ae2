/** Folders of the user's are not left by way of links, and what was passed over is told. */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { scanFolder } from "../../lib/data/dicom/scan.ts";
import { openFolder } from "../../lib/data/open_folder.ts";
import { linkNotes, walk } from "../../lib/io/walk.ts";
import { writeNpy } from "../../lib/io/npy_file.ts";

/** Deno makes links only for who may write anywhere. */
async function symlink(target: string, path: string) {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", 'ln -s -- "$1" "$2"', "sh", target, path],
  }).output();
  assert.ok(success);
}

/** A folder `data` with links, beside a folder `elsewhere`. */
async function withLinks(body: (data: string, elsewhere: string) => Promise<void> | void) {
  const root = await Deno.makeTempDir({ prefix: "walk-" });
  try {
    const data = join(root, "data"), elsewhere = join(root, "elsewhere");
    for (const folder of [data, join(data, "inner"), elsewhere]) await Deno.mkdir(folder);
    await body(data, elsewhere);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function walked(root: string) {
  const skipped: string[] = [];
  const files = [...walk(root, { onSkippedLink: (path) => skipped.push(relative(root, path)) })]
    .map((path) => relative(root, path));
  return { files, skipped };
}

Deno.test("walk: links that leave the folder are passed over and told; those within are followed", () =>
  withLinks(async (data, elsewhere) => {
    for (const path of [`${data}/a`, `${data}/inner/b`, `${elsewhere}/secret`]) {
      await Deno.writeTextFile(path, "x");
    }
    await symlink(elsewhere, `${data}/out`);
    await symlink(`${elsewhere}/secret`, `${data}/file`);
    await symlink("../../elsewhere/secret", `${data}/inner/up`);
    await symlink(`${data}/nowhere`, `${data}/broken`);
    await symlink("..", `${data}/inner/loop`);
    await symlink("a", `${data}/same`);
    const { files, skipped } = walked(data);
    assert.deepEqual(files, ["a", "inner/b", "same"]);
    assert.deepEqual(skipped, ["broken", "file", "inner/up", "out"]);
    // A sibling whose name begins alike is outside too.
    await Deno.mkdir(`${data}-2`);
    await symlink(`${data}-2`, `${data}/z`);
    assert.ok(walked(data).skipped.includes("z"));
    // The folder itself may be a link.
    await symlink(data, `${elsewhere}/link`);
    assert.deepEqual(walked(`${elsewhere}/link`).files, files);
  }));

Deno.test("prepare --dicom: a link to a place out of reach is noted, not an end of all", () =>
  withLinks(async (data, elsewhere) => {
    await symlink(elsewhere, `${data}/out`);
    const { rejected } = scanFolder(data);
    assert.deepEqual(rejected.map(({ reason }) => reason), [
      "a link that leads out of the folder, not followed",
    ]);
  }));

Deno.test("train --data: slices behind a link that leaves the folder are not taken, and it is said", () =>
  withLinks(async (data, elsewhere) => {
    const slice = async (folder: string, patient: string) => {
      const hu = Float32Array.from({ length: 256 }, (_, i) => i % 2 ? -1000 : 40);
      await writeNpy(`${folder}/${patient}_slice_1.npy`, [16, 16], hu);
      await writeNpy(`${folder}/${patient}_lung_mask_1.npy`, [16, 16], new Uint8Array(256).fill(1));
    };
    await slice(data, "P1");
    await slice(elsewhere, "P2");
    await symlink(elsewhere, `${data}/more`);
    const { train, notes } = await openFolder(data);
    assert.deepEqual(train.map(({ patient }) => patient), ["P1"]);
    assert.match(notes.join("\n"), /1 links lead out of the folder.*more/);
    assert.deepEqual(linkNotes([]), []);
  }));
