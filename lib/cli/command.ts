/** Command lines of the scripts: one way of saying what is wrong, and values checked as they come. */

import { Command, InvalidArgumentError } from "commander";
import { InputError } from "../errors.ts";

/**
 * A command that throws InputError on wrong use, exits with 0 after --help, and reads no environment
 * variable (commander looks for colours there, which would need a permission).
 */
export function newCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .configureOutput({
      writeErr: () => {}, // main() prints the error
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride((error) => {
      if (error.exitCode === 0) Deno.exit(0);
      throw new InputError(`${error.message.replace(/^error: /, "")} (see --help)`);
    });
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
