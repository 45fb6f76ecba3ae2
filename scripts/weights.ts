/** `deno task weights`: fetches the pretrained networks that FID, KID, IS and LPIPS need. */

import { Command } from "commander";
import { main, parseArguments, progressBar } from "../lib/cli/main.ts";
import { refuseOthers } from "../lib/cli/command.ts";
import { InputError } from "../lib/errors.ts";
import { copyWeights, downloadWeights } from "../lib/metrics/download.ts";
import {
  checkWeights,
  fileSha256,
  WEIGHTS,
  WEIGHTS_FOLDER,
  type WeightsFile,
} from "../lib/metrics/weights.ts";

const program = new Command("weights")
  .description(
    `Downloads the networks that FID, KID, Inception Score and LPIPS need into out/weights/, ` +
      "checks their size and SHA-256, and refuses anything else.\n\n" +
      "It is the only task that may use the network, and only to reach the files' own hosts. " +
      "Without these files the other metrics still run.",
  )
  .option("--from <file...>", "take files from here instead (no network); known by their SHA-256")
  .option("--only <id...>", `fetch only these: ${WEIGHTS.map(({ id }) => id).join(", ")}`)
  .option("--list", "say what is there and what is missing, with address, size and SHA-256")
  .addHelpText(
    "after",
    `
Examples:
  ./run weights
  ./run weights --only inception
  ./run weights --list
  ./run weights --from Downloads/alexnet-owt-7be5be79.pth Downloads/alex.pth`,
  );

const path = ({ file }: WeightsFile) => `${WEIGHTS_FOLDER}/${file}`;
const size = (bytes: number) =>
  bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;

async function present(entry: WeightsFile): Promise<boolean> {
  try {
    await checkWeights(path(entry), entry);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (!(error instanceof InputError)) throw error;
    console.error(`${error.message}; it will be replaced`);
    return false;
  }
}

async function withBar(
  entry: WeightsFile,
  work: (update: (bytes: number) => void) => Promise<void>,
) {
  const bar = progressBar(entry.file, entry.bytes);
  try {
    await work((bytes) => bar.update(bytes));
  } finally {
    bar.stop();
  }
  console.log(`${path(entry)}: ${size(entry.bytes)}, SHA-256 as expected`);
}

async function take(file: string) {
  let bytes: number;
  try {
    bytes = (await Deno.stat(file)).size;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new InputError(`Cannot read "${file}": no such file`);
  }
  const entry = WEIGHTS.find((one) => one.bytes === bytes);
  if (!entry) throw new InputError(`Refused "${file}": ${bytes} bytes, none of the files has that`);
  const actual = await fileSha256(file);
  if (actual !== entry.sha256) {
    throw new InputError(
      `Refused "${file}": SHA-256 ${actual}, ${entry.file} has ${entry.sha256}`,
    );
  }
  await withBar(entry, (update) => copyWeights(entry, file, path(entry), update));
}

await main(async () => {
  parseArguments(program);
  const options = program.opts<{ from?: string[]; only?: string[]; list?: boolean }>();
  const wanted = WEIGHTS.filter(({ id }) => !options.only || options.only.includes(id));
  const unknown = options.only?.filter((id) => !WEIGHTS.some((one) => one.id === id)) ?? [];
  if (unknown.length) throw new InputError(`--only: no such network: ${unknown.join(", ")}`);

  if (options.from) {
    refuseOthers(program, ["from"], "files given with --from are known by their content");
    // Files of the user's are read here: the network goes first.
    await Deno.permissions.revoke({ name: "net" });
    for (const file of options.from) await take(file);
    return;
  }
  const missing: WeightsFile[] = [];
  for (const entry of wanted) {
    const there = await present(entry);
    if (!there) missing.push(entry);
    if (there || options.list) {
      console.log(`${there ? "present" : "missing"}  ${path(entry)}  ${entry.what}`);
    }
    if (options.list) {
      console.log(`         ${entry.url}\n         ${entry.bytes} bytes, SHA-256 ${entry.sha256}`);
    }
  }
  if (options.list) return;
  // What can reach the network can read nothing from here on.
  await Deno.permissions.revoke({ name: "read" });
  for (const entry of missing) {
    await withBar(entry, (update) => downloadWeights(entry, path(entry), update));
  }
});
