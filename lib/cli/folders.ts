/** From a command line to the folders that it lets a task read and write. */

import { basename, dirname, extname, isAbsolute, join, resolve, sep } from "node:path";
import { InputError } from "../errors.ts";
import type { TaskPaths } from "./tasks.ts";

export interface Grants {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** The arguments, with outputs that lie behind links named by their real place. */
  readonly args: readonly string[];
}

interface Given {
  /** The option, or `arguments`. */
  readonly option: string;
  readonly value: string;
  readonly index: number;
  /** How long the part of the argument before the value is (`--out=`). */
  readonly prefix: number;
}

const words = (text = "") => text.split(" ").filter(Boolean);

/** The values on a command line that name paths, as commander will take them. */
export function pathsGiven(task: TaskPaths, args: readonly string[]): Given[] {
  const known = new Map(
    [...words(task.reads), ...words(task.writes)].map((word) => {
      const [name] = word.split(/=|\.\.\./);
      return [name, word.endsWith("...")];
    }),
  );
  const given: Given[] = [];
  const argument = (index: number) =>
    task.readsArguments &&
    given.push({ option: "arguments", value: args[index], index, prefix: 0 });
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") {
      while (++i < args.length) argument(i);
      break;
    }
    const equals = args[i].indexOf("="), option = equals < 0 ? args[i] : args[i].slice(0, equals);
    const variadic = known.get(option);
    if (variadic === undefined) {
      if (!args[i].startsWith("-")) argument(i);
    } else if (equals >= 0) {
      given.push({ option, value: args[i].slice(equals + 1), index: i, prefix: equals + 1 });
    } else {
      do {
        if (++i < args.length) given.push({ option, value: args[i], index: i, prefix: 0 });
      } while (variadic && i + 1 < args.length && !args[i + 1].startsWith("-"));
    }
  }
  return given;
}

/** The real place of a path, of which the last parts need not exist. */
export function realPlace(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPlace(parent), basename(path));
  }
}

/** `path` as it was named and where it lies. */
const both = (path: string) => [...new Set([path, realPlace(path)])];

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

function isFolder(path: string): boolean {
  return exists(path) && Deno.statSync(path).isDirectory;
}

/** Folders of data may be followed by a weight: `DIR=2`. */
function data(path: string): string[] {
  const plain = path.replace(/[=:@][\d.]+$/, "");
  return plain === path || exists(path) ? [path] : [path, plain];
}

/** Data that a run was trained on, from its config.json; nothing where that cannot be read. */
function dataOfRun(run: string): string[] {
  try {
    const path = join(run, "config.json");
    if (Deno.statSync(path).size > 2 ** 20) return [];
    const strings = (value: unknown): string[] =>
      typeof value === "string"
        ? [value]
        : typeof value === "object" && value
        ? Object.values(value).flatMap(strings)
        : [];
    return strings(JSON.parse(Deno.readTextFileSync(path)).data).filter(isAbsolute)
      .flatMap(data);
  } catch {
    return [];
  }
}

/** What is looked at around a model's folder: its scheduler, and the checkpoint that it is part of. */
function aroundModel(model: string): string[] {
  return [model, join(model, "unet"), join(model, "unet_ema")].flatMap((part) => both(part))
    .flatMap((part) => {
      const above = dirname(part), run = dirname(dirname(above));
      const isCheckpoint = /^step-\d+$/.test(basename(above)) || exists(join(above, "state.json"));
      return [
        ...["scheduler", "scheduler_config.json", "state.json"].map((name) => join(above, name)),
        ...(isCheckpoint ? [above, join(run, "config.json")] : []),
        ...(/^step-\d+$/.test(basename(part)) ? [join(dirname(above), "config.json")] : []),
      ];
    });
}

/** Deno takes a comma in a flag for the end of a path: then the folder above it is read. */
function withoutComma(path: string): string {
  return path.includes(",") ? withoutComma(dirname(path)) : path;
}

const holds = (folder: string, path: string) =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);

/** @throws InputError for an output that is the project, holds it, or is a part of it. */
function requireOutput(option: string, value: string, real: string, root: string): void {
  if (real.includes(",")) {
    throw new InputError(`${option} ${value}: a comma in the path of an output is not supported`);
  }
  const place = realPlace(root);
  const own = PROJECT.map((name) => join(place, name)).find((path) => holds(path, real));
  if (holds(real, place) || own) {
    throw new InputError(
      `${option} ${value} is ${own ? "part of" : "or holds"} this program: choose another place, ` +
        "such as a folder in out/",
    );
  }
}

/** What the project consists of: no task that reads patient data may write there. */
export const PROJECT = [
  ...[
    "lib",
    "scripts",
    "tests",
    "kernels",
    "examples",
    "docs",
    "benchmarks",
    "node_modules",
    ".git",
    ".ci",
  ],
  ...[".github", "run", "mod.ts", "deno.json", "deno.lock", "audit.lock.json", "README.md"],
  ...["run.cmd", "run.ps1", "containers"],
  ...["CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "SECURITY.md"],
  ...[".editorconfig", ".gitignore"],
];

/**
 * @param root the project: what it consists of is read, and never written. @param caller where
 * relative paths begin. @param cache the user's cache folder.
 *
 * @throws InputError where an output would be the project itself, or its code.
 */
export function grants(
  task: TaskPaths,
  args: readonly string[],
  { root, caller, cache }: { root: string; caller: string; cache: string },
): Grants {
  const given = pathsGiven(task, args).filter(({ value }) => value !== "");
  const from = (value: string) => resolve(caller, value);
  const isWrite = (option: string) =>
    words(task.writes).some((word) => word.split("=")[0] === option);
  // Not all of the project's folder: others' data and runs may lie in it.
  const own = [...PROJECT, join("out", "weights")].map((name) => join(root, name));
  const reads = [...own, join(cache, "tune")], writes: string[] = [], changed = [...args];
  const runs = words(task.runs), beside = words(task.beside);
  for (const { option, value, index, prefix } of given) {
    const path = from(value);
    if (isWrite(option)) {
      const real = realPlace(path);
      requireOutput(option, value, real, root);
      // A task may not look at parents of its output, so it is told where links among them lead.
      if (real !== path && !exists(path)) changed[index] = changed[index].slice(0, prefix) + real;
      writes.push(...both(path));
      if (!exists(dirname(path))) writes.push(dirname(real)); // made for a file
    } else {
      reads.push(...data(path).flatMap(both));
      if (option === "--model") reads.push(...aroundModel(path));
      if (beside.includes(option) && !isFolder(path)) {
        reads.push(dirname(path), dirname(realPlace(path)));
      }
    }
    if (runs.includes(option)) reads.push(...dataOfRun(path).flatMap(both));
  }
  for (const [option, usual] of words(task.writes).map((word) => word.split("="))) {
    if (!usual || given.some((g) => g.option === option)) continue;
    const path = from(usual);
    writes.push(...both(path));
    if (extname(path) && !exists(dirname(path))) writes.push(dirname(path)); // made for a file
    if (runs.includes(option)) reads.push(...dataOfRun(from(usual)).flatMap(both));
  }
  for (const { option, value } of task.inRun ? given : []) {
    if (runs.includes(option)) writes.push(...both(join(from(value), task.inRun!)));
  }
  if (task.renews && args.includes(task.renews[0])) writes.push(join(root, task.renews[1]));
  if (task.key) writes.push(...writes.map((path) => path.replace(/\.html?$/i, "") + task.key));
  if (task.tunes) writes.push(join(cache, "tune"));
  // A file is written beside its place and renamed (lib/io/atomic.ts).
  writes.push(...writes.map((path) => `${path}.unfinished.tmp`));
  return {
    reads: [...new Set(reads.concat(writes).map(withoutComma))],
    writes: [...new Set(writes)],
    args: changed,
  };
}
