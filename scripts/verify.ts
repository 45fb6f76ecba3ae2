/** `deno task verify FILE…`: compares this program with reference cases of PyTorch and diffusers. */

import { Command, Option } from "commander";
import { precisionOption } from "../lib/cli/command.ts";
import { InputError } from "../lib/errors.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { openGpu } from "../lib/gpu/device.ts";
import { tunedChoice } from "../lib/tune/choice_files.ts";
import { readCase } from "../lib/verify/case.ts";
import { verifyCase } from "../lib/verify/mod.ts";

const program = new Command("verify")
  .description(
    "Runs reference cases (what PyTorch and diffusers computed, one .safetensors file a case) on the " +
      "GPU and prints the errors against their tolerances.",
  )
  .argument("<files...>", "reference cases of kind unet, scheduler, sample, train or metrics")
  .addOption(
    new Option("--exact", "use kernels that sum as written (the default)").conflicts("fast"),
  )
  .option(
    "--fast",
    "use the kernels that training uses: those that were tuned, also such as round differently " +
      "(Winograd)",
  )
  .addOption(precisionOption("in models and training"))
  .option("--all", "print every tensor, not only the worst")
  .addHelpText(
    "after",
    `
Examples:
  ./run verify tests/fixtures/reference/*.safetensors
  ./run verify --all cases/unet-seed.safetensors
  ./run verify --fast cases/*                        with the kernels of training

Exit code: 0 all within tolerance, 1 some exceeded, 2 a file cannot be read, 3 no usable GPU.`,
  );

/** A relative error of 1 is none of the number right. */
const LOOSE = 0.3;

await main(async () => {
  parseArguments(program);
  const { fast = false, exact, all = false, precision } = program.opts();
  if (fast && exact) throw new InputError("--exact and --fast exclude each other");
  const cases = await Promise.all(program.args.map(readCase));
  const gpu = await openGpu();
  const choose = fast ? await tunedChoice(gpu) : undefined;
  console.log(`adapter: ${gpu.name}${choose ? ", kernels as tuned here" : ""}`);
  const failed: string[] = [];
  for (const reference of cases) {
    const checks = await verifyCase(gpu, reference, { exact: !fast, choose, precision });
    const bad = checks.filter((c) => !(c.error <= c.tolerance));
    const byShare = checks.toSorted((a, b) => b.error / b.tolerance - a.error / a.tolerance);
    console.log(
      `\n${reference.file} (${reference.kind}): ${checks.length} comparisons, ` +
        (bad.length ? `${bad.length} EXCEEDED` : "ok"),
    );
    const overall = checks.find((c) => c.name === "all gradients");
    const shown = all || bad.length > 5 ? byShare : byShare.slice(0, 5);
    for (const c of new Set(overall ? [overall, ...shown] : shown)) {
      const mark = c.error <= c.tolerance ? " " : "!";
      console.log(
        `${mark} ${c.error.toExponential(2)} of ${c.tolerance.toExponential(0)} ` +
          `${c.measure.padEnd(8)} ${c.name}${c.conditioned ? " *" : ""}`,
      );
    }
    const conditioned = checks.filter((c) => c.conditioned);
    if (conditioned.length) {
      const loose = conditioned.filter((c) => c.measure === "relative" && c.tolerance > LOOSE);
      console.log(
        `  ${conditioned.length} tolerances raised (*) to what float32 rounding moves them by` +
          (loose.length ? `; ${loose.length} so far that the comparison says little` : ""),
      );
    }
    failed.push(...bad.map((c) => `${reference.file}: ${c.name}`));
  }
  gpu.destroy();
  if (failed.length) {
    throw new CheckFailedError(`${failed.length} comparisons: ${failed.slice(0, 10).join("; ")}`);
  }
});
