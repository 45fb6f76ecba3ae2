/** `deno task phantom`: the built-in phantom as files, to try everything without patient data. */

import { join, resolve } from "node:path";
import { newCommand, refuseGiven, shownPath, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { PHANTOM_SLICES, phantomSlice } from "../lib/data/phantom.ts";
import { writePhantomTree } from "../lib/data/phantom_dicom.ts";
import { InputError } from "../lib/errors.ts";
import { checkOutputFolder, lockFolder } from "../lib/io/output_folder.ts";
import { writeNpy } from "../lib/io/npy_file.ts";

const program = newCommand(
  "phantom",
  "Writes patients of the built-in chest phantom: synthetic, no patient data.",
)
  .requiredOption("--out <dir>", "folder to write")
  .option("--dicom", "DICOM series with LIDC annotations, for `./run prepare`")
  .option("--patients <n>", "patients", wholeIn(1, 10_000), 4)
  .option("--slices <n>", "slices a patient (with --dicom)", wholeIn(2, 1000), 60)
  .option("--size <n>", "rows and columns", wholeIn(32, 1024), 128)
  .option(
    "--detail <n>",
    "pixels rendered a row, enlarged to --size (with --dicom)",
    wholeIn(32, 1024),
  )
  .option("--seed <n>", "of the patients", wholeIn(0, 2 ** 32 - 1), 0)
  .addHelpText(
    "after",
    `
Examples:
  ./run phantom --dicom --out phantom && ./run prepare --dicom phantom --out data/phantom
  ./run phantom --out data/phantom --patients 20 --size 128
  ./run phantom --dicom --out big --patients 50 --slices 120 --size 512 --detail 128

Without --dicom: {patient}_slice_{n}.npy and masks, ${PHANTOM_SLICES} slices a patient, half of them with a nodule.`,
  );

await main(async () => {
  parseArguments(program);
  const o = program.opts();
  if (!o.dicom) refuseGiven(program, ["slices", "detail"], "goes with --dicom");
  if (o.detail > o.size) throw new InputError(`--detail ${o.detail}: at most --size, ${o.size}`);
  const out = resolve(o.out);
  checkOutputFolder("--out", out, {});
  using _lock = lockFolder(out);
  const total = o.patients * (o.dicom ? o.slices : PHANTOM_SLICES);
  const bar = progressBar("slices", total);
  if (o.dicom) {
    await writePhantomTree({
      out,
      seed: o.seed,
      patients: o.patients,
      slices: o.slices,
      size: o.size,
      detail: Math.min(o.size, o.detail ?? 256),
      onSlice: (done) => bar.update(done),
    });
  } else {
    for (let i = 0; i < total; i++) {
      const patient = Math.floor(i / PHANTOM_SLICES), slice = i % PHANTOM_SLICES;
      const name = `PHANTOM${String(patient + 1).padStart(4, "0")}`;
      const planes = phantomSlice(o.seed, patient, slice, o.size);
      const write = (kind: string, data: Int16Array | Uint8Array) =>
        writeNpy(join(out, name, `${name}_${kind}_${slice}.npy`), [o.size, o.size], data);
      await write("slice", Int16Array.from(planes.ct, Math.round));
      await write("lung_mask", planes.lungMask);
      await write("nodule_mask", planes.noduleMask);
      bar.update(i + 1);
    }
  }
  bar.stop();
  console.log(`${o.patients} patients, ${total} slices of ${o.size}×${o.size} in ${out}`);
  const next = o.dicom
    ? `prepare --dicom ${shownPath(o.out)} --out prepared`
    : `train --data ${shownPath(o.out)}`;
  console.log(`next: ./run ${next}`);
});
