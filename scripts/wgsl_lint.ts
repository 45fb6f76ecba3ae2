/** Checks the form of every kernel (lib/lint/wgsl.ts) and that naga accepts it as it stands. */

import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { CheckFailedError } from "../lib/errors.ts";
import { type Gpu, openGpu } from "../lib/gpu/device.ts";
import { isLibrary, joinedFiles, lintWgsl } from "../lib/lint/wgsl.ts";

const ROOT = new URL("../", import.meta.url);

function wgslFiles(folder: URL): URL[] {
  return [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1).flatMap((entry) =>
    entry.isDirectory
      ? wgslFiles(new URL(`${entry.name}/`, folder))
      : entry.name.endsWith(".wgsl")
      ? [new URL(entry.name, folder)]
      : []
  );
}

/** What naga has against the module, or undefined. */
async function compile({ device }: Gpu, code: string): Promise<string | undefined> {
  device.pushErrorScope("validation");
  device.createShaderModule({ code });
  return (await device.popErrorScope())?.message.trim();
}

const program = newCommand(
  "wgsl:lint",
  "Checks the form of every kernel and that it compiles. Exit code: 0 all right, 1 problems, 3 no GPU.",
).addHelpText("after", "\nExample:\n  ./run wgsl:lint");

await main(async () => {
  parseArguments(program);
  const files = wgslFiles(new URL("kernels/", ROOT));
  const gpu = await openGpu();
  let problems = 0;
  for (const file of files) {
    const path = relative(fileURLToPath(ROOT), fileURLToPath(file));
    const text = await Deno.readTextFile(file);
    for (const { line, message } of lintWgsl(path, text)) {
      console.log(`${path}:${line}: ${message}`);
      problems++;
    }
    if (isLibrary(path)) continue; // compiled with each kernel that joins it
    const joined = await Promise.all(
      joinedFiles(text).map((name) => Deno.readTextFile(new URL(name, ROOT))),
    );
    const error = await compile(gpu, [...joined, text].join("\n"));
    if (error) {
      console.log(`${path}: ${error}`);
      problems++;
    }
  }
  gpu.destroy();
  if (problems > 0) {
    throw new CheckFailedError(`${problems} problems in ${files.length} WGSL files`);
  }
  console.log(`${files.length} WGSL files: form and compilation are right`);
});
