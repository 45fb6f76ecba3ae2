/** What every script shares: error reporting, exit codes and the progress bar. */

import cliProgress from "cli-progress";
import { type Command, CommanderError, type Option } from "commander";
import { TASKS } from "./tasks.ts";
import {
  asWriteError,
  CheckFailedError,
  EXIT,
  harmless,
  InputError,
  NoGpuError,
  shown,
} from "../errors.ts";

/** Options that may be given more than once. */
const REPEATABLE = new WeakSet<Option>();

/** Marks an option that may be given more than once, each value added to a list. */
export function repeatable(option: Option): Option {
  REPEATABLE.add(option);
  return option.argParser((value: string, before: string[] | undefined) => [
    ...before ?? [],
    value,
  ]);
}

/** The last of two values would win without a word: an option twice is wrong use. */
function refuseRepeated(program: Command, args: readonly string[]): void {
  const seen = new Map<string, string>();
  for (let i = 0; i < args.length && args[i] !== "--"; i++) {
    const [flag] = args[i].split("=", 1);
    const option = program.options.find((o) => o.long === flag || o.short === flag);
    if (!option) continue;
    const name = option.attributeName(), earlier = seen.get(name);
    if (earlier && !option.variadic && !REPEATABLE.has(option)) {
      const both = earlier === flag ? `${flag} is given twice` : `${earlier} and ${flag} exclude`;
      program.error(`error: ${both}${earlier === flag ? "" : " each other"}: give one of them`);
    }
    seen.set(name, flag);
    if (option.required && flag === args[i]) i++; // its value, which may look like an option
  }
}

/** Parses the command line; wrong use (unknown flags, bad values) exits with code 2, not 1. */
export function parseArguments(program: Command, args: readonly string[] = Deno.args): void {
  program.exitOverride();
  // Asking the environment about colours would need a permission.
  const plain = () => false;
  program.configureOutput({
    getOutHasColors: plain,
    getErrHasColors: plain,
    outputError: (text, write) => {
      const lines = text.trimEnd().split(/\n(?=\(Did you mean)/);
      write(`${lines.map((line) => shown(line)).join("\n")}\n`);
    },
  });
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    refuseRepeated(program, args);
    program.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    Deno.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage); // commander has said what is wrong
  }
}

/**
 * From here on the console prints no control character but line ends and tabs: names come from
 * files, and a terminal would obey what is hidden in them.
 */
function guardConsole(): void {
  for (const method of ["log", "info", "warn", "error"] as const) {
    const print = console[method];
    console[method] = (...values: unknown[]) =>
      print(
        ...values.map((value) =>
          typeof value === "string"
            ? harmless(value)
            : value instanceof Error
            ? harmless(value.stack ?? String(value))
            : value
        ),
      );
  }
}

/** Remarks for the user, a line each, whatever names of files and patients are in them. */
export function printNotes(notes: readonly string[]): void {
  for (const note of notes) console.log(`note: ${shown(note)}`);
}

/** A permission that was not given, as one line: Deno's own advice would be to give it to everybody. */
export function denied({ message }: Error): string {
  const [, what, where] = /^Requires (\w+) access to (?:"(.*)"|[^,]*)/s.exec(message) ?? [];
  if (!where || (what !== "read" && what !== "write")) {
    return `this task may not do that: ${shown(message.split(", run again", 1)[0])}`;
  }
  const { mainModule } = Deno;
  const script = /(\w+)\.ts$/.exec(mainModule)?.[1] ?? "";
  const { reads, writes } = TASKS[script.replace("_", ":")] ?? {};
  const options = (what === "read" ? reads : writes)?.replace(/=\S*|\.\.\./g, "").split(" ");
  return `Cannot ${what} ${
    shown(JSON.stringify(where), 200)
  }: this task may ${what} only what its ` +
    `options name${options ? ` (${options.join(", ")})` : ""}: name it there`;
}

/** Runs a script's body and turns errors into one clear line and the exit code of their kind. */
export async function main(body: () => Promise<void>): Promise<never> {
  guardConsole();
  try {
    // `deno task` runs in the repository's root; paths on the command line are the caller's.
    const allowed = Deno.permissions.querySync({ name: "env", variable: "INIT_CWD" });
    const caller = allowed.state === "granted" ? Deno.env.get("INIT_CWD") : undefined;
    if (caller) Deno.chdir(caller);
    await body();
  } catch (thrown) {
    // What no writer has told better: a full disk, say, while a folder is made.
    const error = thrown instanceof InputError ? thrown : asWriteError(thrown, "Cannot go on");
    if (error instanceof InputError || error instanceof Deno.errors.NotCapable) {
      console.error(`error: ${error instanceof InputError ? error.message : denied(error)}`);
      Deno.exit(EXIT.usage);
    }
    if (error instanceof NoGpuError) {
      console.error(`error: ${error.message}`);
      Deno.exit(EXIT.noGpu);
    }
    if (error instanceof CheckFailedError) {
      console.error(`failed: ${error.message}`);
      Deno.exit(EXIT.checkFailed);
    }
    console.error(error);
    Deno.exit(EXIT.checkFailed);
  }
  Deno.exit(); // with Deno.exitCode, where a body has set one
}

export interface Progress {
  update(done: number, fields?: Fields): void;
  stop(): void;
}

/**
 * A progress bar with ETA on standard error. Where standard error is no terminal, a line is printed
 * at most every ten seconds instead. `fields` named in `format` as {name} are shown beside the bar.
 *
 * @param from what was done before, which took no time now.
 */
export function progressBar(label: string, total: number, format = "", from = 0): Progress {
  if (!Deno.stderr.isTerminal()) return progressLines(label, total, format, from);
  const bar = new cliProgress.SingleBar({
    format: `${label} {bar} {value}/{total} ETA {eta_formatted} ${format}`,
    etaBuffer: 30,
    hideCursor: true,
    clearOnComplete: false,
  }, cliProgress.Presets.shades_classic);
  const fields = Object.fromEntries(
    [...format.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, "…"]),
  );
  bar.start(total, from, fields);
  return {
    update: (done, values = {}) => bar.update(done, shownFields(values)),
    stop: () => bar.stop(),
  };
}

type Fields = Record<string, string | number>;

/** Names of slices and files among them: short, and without what a terminal would obey. */
function shownFields(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, shown(String(v), 80)]));
}

/** The same as lines, for a terminal too on which other output goes by. */
export function progressLines(label: string, total: number, format = "", from = 0): Progress {
  const start = performance.now();
  let last = start;
  let fields: Fields = {};
  const print = (done: number) => {
    const seconds = (performance.now() - start) / 1000;
    const eta = done > from ? `${Math.round(seconds / (done - from) * (total - done))} s` : "…";
    const shown = format.replace(/\{(\w+)\}/g, (_, name) => String(fields[name] ?? "…"));
    console.error(`${label} ${done}/${total} ETA ${eta} ${shown}`.trimEnd());
  };
  let latest = from, printed = -1;
  return {
    update(done, values) {
      latest = done;
      fields = { ...fields, ...shownFields(values ?? {}) };
      if (performance.now() - last < 10_000) return;
      last = performance.now();
      printed = done;
      print(done);
    },
    stop() {
      if (printed !== latest) print(latest);
    },
  };
}
