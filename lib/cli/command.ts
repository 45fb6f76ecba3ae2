/** Command lines of the scripts, and the values in them, checked as they come. */

import { Command, InvalidArgumentError, Option } from "commander";
import { InputError } from "../errors.ts";

export function newCommand(name: string, description: string): Command {
  return new Command(name).description(description);
}

/** A path as it is typed in a shell. */
export const shownPath = (path: string): string =>
  /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;

/** `--precision f32` or `f16`; f32 by default. */
export function precisionOption(where = ""): Option {
  return new Option("--precision <name>", ["how activations are stored", where].join(" ").trim())
    .choices(["f32", "f16"]).default("f32");
}

/** For an option: a number in [low, high]. */
export function numberIn(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? NaN : Number(text);
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a number in ${low} … ${high}.`);
  };
}

/** For an option: a whole number in [low, high]. */
export function wholeIn(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= low && value <= high) return value;
    throw new InvalidArgumentError(`It must be a whole number in ${low} … ${high}.`);
  };
}

/**
 * Refuses options of the command line that would change nothing.
 *
 * @param names as in `program.opts()`. @param why what they belong to.
 * @throws InputError naming the option.
 */
export function refuseGiven(program: Command, names: readonly string[], why: string): void {
  for (const option of program.options) {
    const name = option.attributeName();
    if (names.includes(name) && program.getOptionValueSource(name) === "cli") {
      throw new InputError(`${option.long}: ${why}`);
    }
  }
}

/** Refuses all given options but `names`, where the others would change nothing. */
export function refuseOthers(program: Command, names: readonly string[], why: string): void {
  const others = program.options.map((option) => option.attributeName());
  refuseGiven(program, others.filter((name) => !names.includes(name)), why);
}

/** The options that the user gave on the command line: attribute name → flag. */
export function givenOptions(program: Command): Map<string, string> {
  const given = new Map<string, string>();
  for (const option of program.options) {
    const name = option.attributeName();
    if (program.getOptionValueSource(name) === "cli") given.set(name, option.long ?? option.flags);
  }
  return given;
}

/** For an option: `64`, or height and width as `48x64`, each a whole number in [low, high]. */
export function sizeIn(low: number, high: number): (text: string) => [number, number] {
  const whole = wholeIn(low, high);
  return (text) => {
    const sides = text.split(/[x×]/);
    if (sides.length > 2) {
      throw new InvalidArgumentError("It must be one size, or height and width, such as 48x64.");
    }
    const [height, width = height] = sides.map(whole);
    return [height, width];
  };
}
