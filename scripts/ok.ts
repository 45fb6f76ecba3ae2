/** `./run ok`: everything that must hold before a change is handed on. */

import { newCommand } from "../lib/cli/command.ts";
import { parseArguments } from "../lib/cli/main.ts";
import { EXIT } from "../lib/errors.ts";

const STEPS = [["fmt", "--check"], ["lint"], ["check"], ["wgsl:lint"], ["test"]];

const program = newCommand(
  "ok",
  "The gate: format, lint, types, kernels and tests, up to the first that fails. It starts other " +
    "programs, which nothing confines, and reads no patient data.",
).addHelpText("after", "\nExample:\n  ./run ok");
parseArguments(program);
for (const step of STEPS) {
  const task = new Deno.Command("deno", { args: ["task", "--quiet", ...step] });
  const { success } = await task.spawn().status;
  if (success) continue;
  console.error(`failed: ./run ${step.join(" ")}`);
  Deno.exit(EXIT.checkFailed);
}
