/** `./run prepare`: from a folder of CT scans to training slices. */

import { resolve } from "node:path";
import { Option } from "commander";
import { newCommand, numberIn, refuseGiven, shownPath, wholeIn } from "../lib/cli/command.ts";
import { main, parseArguments, printNotes, type Progress, progressBar } from "../lib/cli/main.ts";
import { parseNames } from "../lib/data/prepare/region_names.ts";
import { prepare } from "../lib/data/prepare/prepare.ts";
import { parseLabels } from "../lib/data/prepare/labels.ts";
import { summaryTable } from "../lib/data/prepare/summary.ts";
import { DEFAULT_SETTINGS } from "../lib/data/prepare/types.ts";
import { InputError, shown } from "../lib/errors.ts";
import { checkOutputFolder, lockFolder } from "../lib/io/output_folder.ts";

const d = DEFAULT_SETTINGS;
const program = newCommand(
  "prepare",
  "Turns a folder of chest CT (DICOM with LIDC annotations, or NIfTI) into training slices.",
)
  .option(
    "--dicom <dir>",
    "DICOM files in any folder layout, with LIDC XML, SEG, RTSTRUCT and metadata.csv if any",
  )
  .option(
    "--nifti <dir>",
    "volumes (NIfTI, NRRD, MetaImage, Analyze) with nodule masks, instead of DICOM",
  )
  .option("--luna16 <dir>", "LUNA16 as downloaded: .mhd volumes, annotations.csv, seg-lungs-LUNA16")
  .requiredOption("--out <dir>", "folder to write; an interrupted run goes on in it")
  .option(
    "--lung-masks <dir>",
    "lung masks made elsewhere: .npy, .png or NIfTI (default: by rules)",
  )
  .option(
    "--min-lung <share>",
    "leave out slices with less lung than this",
    numberIn(0, 1),
    d.minLung,
  )
  .option(
    "--consensus <share>",
    "readers who must agree on a pixel",
    numberIn(0.01, 1),
    d.consensus,
  )
  .option("--min-readers <n>", "readers who must mark a nodule", wholeIn(1, 4), d.minReaders)
  .option(
    "--tolerance <mm>",
    "outlines this close are one nodule (0: slice spacing)",
    numberIn(0, 50),
    0,
  )
  .option(
    "--closing <mm>",
    "radius that closes the lung mask over nodules",
    numberIn(0, 30),
    d.closing,
  )
  .addOption(
    new Option(
      "--unannotated <what>",
      "series without a readable annotation: left out, or taken as without nodules",
    ).choices(["leave-out", "negative"]).default(d.unannotated),
  )
  .option(
    "--nodule-label <n>",
    'labels of nodule masks that are nodules: N, "N,M" or "all"',
    (text: string) => parseLabels(text, "--nodule-label"),
  )
  .option(
    "--lung-label <n>",
    'labels of --lung-masks that are lung: "N,M", "all", totalsegmentator, covid-19-ct-seg',
    (text: string) => parseLabels(text, "--lung-label"),
  )
  .option(
    "--nodule-roi <names>",
    'SEG or RTSTRUCT regions that are nodules: "GTV-1,Nodule 2" (default: names that are known)',
    parseNames,
  )
  .option("--lung-roi <names>", "those that are lungs", parseNames)
  .option("--derived", "take DERIVED and SECONDARY axial CT with full geometry too")
  .option("--mask-by-index", "take mask files' voxels in order, whatever their affine says")
  .option("--any-values", "take values that are no Hounsfield units as they are")
  .option("--seed <n>", "of the split by patient", wholeIn(0, 2 ** 32 - 1), 0)
  .option("--val <share>", "of the patients, to validate", numberIn(0, 0.5), 0.1)
  .option("--test <share>", "of the patients, to test", numberIn(0, 0.5), 0.1)
  .option("--jobs <n>", "series at a time", wholeIn(1, 64), 1)
  .option("--contact-sheet <n>", "slices on contact_sheet.png (0: none)", wholeIn(0, 400), 48)
  .addHelpText(
    "after",
    `
Examples:
  ./run prepare --dicom LIDC-IDRI --out data/lidc
  ./run prepare --dicom scans --out data/own --lung-masks masks --min-lung 0.1 --jobs 2
  ./run prepare --nifti Task06_Lung --out data/msd
  ./run prepare --luna16 LUNA16 --out data/luna16
  ./run prepare --dicom healthy --out data/healthy --unannotated negative
  ./run prepare --nifti scans --out data/own --lung-masks seg --lung-label totalsegmentator

Writes {patient}_slice_{n}.npy and its masks, {train,val,test}_patients.txt, manifest.json and
contact_sheet.png. Exit codes: 0 done, 2 wrong use or unreadable input.`,
  );

await main(async () => {
  parseArguments(program);
  const o = program.opts();
  const kinds = (["dicom", "nifti", "luna16"] as const).filter((kind) => o[kind] !== undefined);
  const [kind] = kinds;
  if (kinds.length !== 1) {
    throw new InputError("give one of --dicom, --nifti and --luna16 (see --help)");
  }
  const ofDicom = ["consensus", "minReaders", "tolerance", "noduleRoi", "lungRoi", "derived"];
  if (kind !== "dicom") refuseGiven(program, ofDicom, "goes with --dicom");
  if (kind !== "nifti") refuseGiven(program, ["noduleLabel"], "goes with --nifti");
  if (kind === "dicom" && !o.lungMasks) {
    refuseGiven(program, ["lungLabel", "maskByIndex"], "goes with --lung-masks");
  }
  checkOutputFolder("--out", o.out, {
    "--dicom": o.dicom,
    "--nifti": o.nifti,
    "--luna16": o.luna16,
    "--lung-masks": o.lungMasks,
  });
  using _lock = lockFolder(o.out);
  let bar: Progress | undefined, done = 0, slices = 0;
  const start = performance.now();
  let lastCount = performance.now();
  const result = await prepare({
    input: resolve(o[kind]),
    kind,
    out: resolve(o.out),
    lungMasks: o.lungMasks && resolve(o.lungMasks),
    settings: {
      minLung: o.minLung,
      consensus: o.consensus,
      minReaders: o.minReaders,
      tolerance: o.tolerance,
      closing: o.closing,
      unannotated: o.unannotated,
      anyValues: o.anyValues ?? false,
      maskByIndex: o.maskByIndex ?? false,
      noduleLabels: o.noduleLabel ?? null,
      lungLabels: o.lungLabel ?? null,
      noduleRois: o.noduleRoi ?? null,
      lungRois: o.lungRoi ?? null,
      derived: o.derived ?? false,
    },
    seed: o.seed,
    val: o.val,
    test: o.test,
    jobs: o.jobs,
    contactSheet: o.contactSheet,
    onFile(count) {
      if (performance.now() - lastCount < 5000) return;
      lastCount = performance.now();
      console.error(`looking: ${count} files`);
    },
    onStart(series, resumed) {
      if (resumed > 0) console.error(`${resumed} of ${series} series are done already`);
      done = resumed;
      bar = progressBar("series", series, "{slices} slices");
      bar.update(done, { slices });
    },
    onSeries(record) {
      slices += record.slices.length;
      bar?.update(++done, { slices });
    },
  }).finally(() => bar?.stop());

  const { totals: t, splits } = result;
  printNotes(result.notes.slice(0, 20));
  if (result.notes.length > 20) console.log(`… ${result.notes.length - 20} more in manifest.json`);
  printNotes(result.told.slice(0, 40));
  if (result.told.length > 40) console.log(`… ${result.told.length - 40} more in manifest.json`);
  printNotes(result.unread);
  for (const { seriesUid, reason } of result.failures.slice(0, 20)) {
    console.log(shown(`not used: series ${seriesUid}: ${reason}`));
  }
  const seconds = (performance.now() - start) / 1000;
  for (const line of summaryTable(result)) console.log(line);
  if (t.leftOut["not annotated"] > 0) {
    console.log(
      "not annotated is not healthy: --unannotated negative takes such series as negative",
    );
  }
  console.log(
    `${t.nodules} nodules from ${t.marks} marks, ${t.smallMarks} marks below 3 mm, ` +
      `${t.nonNodules} non-nodules; ${t.rejectedFiles} files rejected (reasons in manifest.json)`,
  );
  console.log(
    `${t.patients} patients: train ${splits.train.length}, val ${splits.val.length}, ` +
      `test ${splits.test.length}; ` +
      `${seconds.toFixed(1)} s` + (slices > 0 ? `, ${(slices / seconds).toFixed(1)} slices/s` : ""),
  );
  if (splits.train.length > 0) console.log(`next: ./run train --data ${shownPath(o.out)}`);
});
