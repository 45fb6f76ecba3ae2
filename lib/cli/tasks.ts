/**
 * What a task's options say it may read and write. A task is a line of `deno.json` (description,
 * script, fixed permissions) and a line here: `./run` turns its `--allow-read` and `--allow-write`
 * into the folders that the command line names. An option that names a file or a folder and is not
 * in its task's line is refused by Deno, and found by tests/cli/launch_test.ts.
 */
export interface TaskPaths {
  /** Options whose value is read; with `...`, each of several values. */
  readonly reads?: string;
  /** Options whose value is written (and read); after `=`, what is written where it is not given. */
  readonly writes?: string;
  /** What is no option is a path that is read. */
  readonly readsArguments?: boolean;
  /** Options (or `arguments`) that name a run: the data that its config.json names is read, too. */
  readonly runs?: string;
  /** Options that name a file whose neighbours are read, too. */
  readonly beside?: string;
  /** Written in the folder of the run. */
  readonly inRun?: string;
  /** A flag, and the file of the project that it writes anew: of tasks that read no data. */
  readonly renews?: readonly [string, string];
  /** Written beside an output: its name with this ending in place of `.html`. */
  readonly key?: string;
  /** Stores which kernels are fast in the user's cache folder. */
  readonly tunes?: boolean;
}

const TRAIN = { reads: "--data --config", writes: "--out=runs", runs: "--out", tunes: true };

/** A task whose `deno.json` line says bare `--allow-read` or `--allow-write` must be here. */
export const TASKS: Readonly<Record<string, TaskPaths>> = {
  "train": TRAIN,
  "train:mpi": TRAIN,
  "sample": {
    reads: "--run --model --data --inpaint --region --lung-mask --scheduler-config",
    writes: "--out=out/samples",
    runs: "--run",
    beside: "--inpaint",
    tunes: true,
  },
  "samplers": { reads: "--run --model --data", writes: "--out=out/samplers.png", runs: "--run" },
  "browser": { reads: "--run --model", writes: "--build", runs: "--run" },
  "verify": { readsArguments: true },
  "evaluate": {
    reads: "--run --data --generated --real --synthetic",
    writes: "--out=out/evaluation",
    runs: "--run",
    inRun: "evaluation",
  },
  "reader-study": {
    reads: "--real --generated --score... --key",
    writes: "--out=out/study.html",
    key: ".key.json",
  },
  "weights": { reads: "--from..." },
  "prepare": { reads: "--dicom --nifti --luna16 --lung-masks", writes: "--out" },
  "phantom": { writes: "--out" },
  "audit": { writes: "--json --html", renews: ["--update", "audit.lock.json"] },
  "reproduce": { readsArguments: true, runs: "arguments", inRun: "private" },
  "provenance": {
    readsArguments: true,
    reads: "--run",
    runs: "--run arguments",
    beside: "arguments",
  },
  "share": { readsArguments: true, writes: "--out" },
  "tune": { tunes: true },
  "bench:kernels": { reads: "--model", writes: "--json --csv --markdown" },
  "bench:steps": { reads: "--model", writes: "--json --trace" },
  "bench:submit": { writes: "--out=out/submit.json" },
  "bench:wgsl": { reads: "--model", readsArguments: true },
  "bench:compare": { readsArguments: true, writes: "--markdown" },
  "bench:data": { reads: "--data", writes: "--cache=out/bench.pack" },
};

/**
 * Tasks that start other programs, which Deno does not confine: a full escape. None of them reads
 * patient data.
 */
export const ESCAPES = [
  "test",
  "ok",
  "bundle",
  "kill",
  "fuzz",
  "mutate",
  "bench",
  "bench:ab",
  "bench:browser",
  "bench:dicom",
  "verify:browser",
];
