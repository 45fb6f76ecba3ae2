/**
 * For `./run`: what a command line comes to, as words for sh; with `--json` before all else, for
 * run.ps1, as JSON. The folders that its options name become the task's permissions. This program imports no package, writes nothing and reaches nothing.
 *
 * `--any-program` takes the lists from the tasks that start programs (a full escape anyway): Deno holds
 * a list against whoever has LD_LIBRARY_PATH set.
 *
 * Arguments: the project, the user's cache folder, the task, its arguments. Exit code: 0, or 2 with
 * a line that says what is wrong.
 */

import { join } from "node:path";
import { grants } from "../lib/cli/folders.ts";
import { closest } from "../lib/cli/closest.ts";
import { ESCAPES, TASKS } from "../lib/cli/tasks.ts";
import { EXIT, InputError, shown } from "../lib/errors.ts";

interface Task {
  readonly description: string;
  readonly command: string;
}

/** Settings of `deno run` that every task is started with: nothing is fetched, nothing is asked. */
const ALWAYS = ["--quiet", "--no-prompt", "--cached-only", "--frozen"];

/** What may be said to the tasks that are Deno's own. */
const OWN_FLAGS: Readonly<Record<string, readonly string[]>> = {
  fmt: ["--check"],
  lint: ["--fix"],
};

function readTasks(root: string): Record<string, Task> {
  return JSON.parse(Deno.readTextFileSync(join(root, "deno.json"))).tasks;
}

function list(tasks: Record<string, Task>): string {
  const lines = Object.entries(tasks).map(([name, { description }]) =>
    `  ${name.padEnd(12)} ${description}`
  );
  return "usage: ./run TASK [ARGUMENTS]     ./run TASK --help says more\n\n" + lines.join("\n");
}

/** A path in a task's line of deno.json, which is of the project. */
const absolute = (root: string, list: string) =>
  list.split(",").map((path) => join(root, path)).join(",");

/**
 * `bench kernels` is the task bench:kernels: each has permissions of its own.
 *
 * @throws InputError for a word that is none of a task's, where the task itself takes no arguments.
 */
function withSubcommand(
  tasks: Record<string, Task>,
  name: string,
  words: readonly string[],
): [name: string, given: readonly string[]] {
  const [first, ...rest] = words;
  if (first === undefined || first.startsWith("-")) return [name, words];
  if (`${name}:${first}` in tasks) return [`${name}:${first}`, rest];
  const own = Object.keys(tasks).filter((task) => task.startsWith(`${name}:`))
    .map((task) => task.slice(name.length + 1));
  if (own.length === 0 || TASKS[name]?.readsArguments) return [name, words];
  const near = closest(first, own);
  throw new InputError(
    `${name} has no "${first}"` + (near ? `: did you mean ${near}?` : `: it has ${own.join(", ")}`),
  );
}

/** @throws InputError */
function command(root: string, cache: string, word: string, words: readonly string[]): string[] {
  const tasks = readTasks(root);
  const [name, given] = withSubcommand(tasks, word, words);
  const task = tasks[name];
  if (!task) {
    const near = closest(name, Object.keys(tasks));
    throw new InputError(
      `there is no task "${name}"` + (near ? `: did you mean ${near}?` : "; ./run lists them"),
    );
  }
  const config = ["--config", join(root, "deno.json")];
  const [program, verb, ...rest] = task.command.split(" ");
  if (program !== "deno") throw new Error(`task ${name} is no command of Deno`);
  if (verb !== "run") {
    // Formatter, linter and type check: Deno itself, on the project's own folders.
    const odd = given.find((a) => !["--help", "-h", ...OWN_FLAGS[name] ?? []].includes(a));
    if (odd !== undefined) {
      const near = closest(odd, ["--help", ...OWN_FLAGS[name] ?? []]);
      throw new InputError(
        odd.startsWith("-")
          ? `unknown option '${odd}'` + (near ? `: did you mean ${near}?` : "")
          : `${name} takes no files: it works on the project's own folders (deno.json)`,
      );
    }
    return given.some((a) => a === "--help" || a === "-h")
      ? ["--help-of", `${name}: ${task.description} (${task.command})`]
      : ["--in-root", verb, ...config, ...rest, ...given];
  }
  const at = rest.findIndex((word) => word.startsWith("scripts/"));
  const fixed = rest.slice(at + 1);
  const scope = ESCAPES.includes(name)
    ? undefined
    : grants(TASKS[name] ?? {}, given, { root, cache, caller: Deno.cwd() });
  const flags = rest.slice(0, at).filter((flag) => !ALWAYS.includes(flag)).flatMap((flag) => {
    const [, access, list] = /^--allow-(read|write)(?:=(.*))?$/.exec(flag) ?? [];
    if (!access) return [flag];
    if (list) return [`--allow-${access}=${absolute(root, list)}`];
    if (!scope) return [flag];
    const paths = access === "read" ? scope.reads : scope.writes;
    return paths.length ? [`--allow-${access}=${paths.join(",")}`] : [];
  });
  const script = join(root, rest[at]);
  const call = ["run", ...ALWAYS, ...config, ...flags, script, ...fixed, ...(scope?.args ?? given)];
  // Tests are named by their paths in the project.
  return name === "test" || name === "ok" ? ["--in-root", ...call] : call;
}

/** For sh: everything between single quotes is taken as it is. */
const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;

try {
  const options = ["--json", "--any-program"];
  const args = [...Deno.args], asked = new Set<string>();
  while (options.includes(args[0])) asked.add(args.shift()!);
  const isJson = asked.has("--json");
  const [root, cache, name, ...given] = args;
  if (name === undefined) console.log(list(readTasks(root)));
  else {
    const words = command(root, cache, name, given)
      .map((word) =>
        asked.has("--any-program") ? word.replace(/^--allow-run=.*/, "--allow-run") : word
      );
    console.log(isJson ? JSON.stringify(words) : words.map(quoted).join(" "));
  }
} catch (error) {
  if (!(error instanceof InputError)) throw error;
  console.error(`error: ${shown(error.message)}`);
  Deno.exit(EXIT.usage);
}
