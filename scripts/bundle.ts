/** `./run bundle`: an archive for a machine without a network. */

import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { writeBundle } from "../lib/cli/bundle.ts";
import { newCommand } from "../lib/cli/command.ts";
import { main, parseArguments } from "../lib/cli/main.ts";
import { InputError } from "../lib/errors.ts";

const { os, arch } = Deno.build;
const NAME = `lung-ddpm-webgpu-${os}-${arch}`;

const program = newCommand(
  "bundle",
  "Writes one archive with all that this program needs, for a machine without a network: Deno, the " +
    "npm packages, on Linux Mesa's software driver and the Vulkan loader of this system, the networks " +
    "of FID and LPIPS if ./run weights got them, the program, and the SHA-256 of every file. No data " +
    "and no run is packed. It starts tar and ldd, which nothing confines.",
)
  .option("--out <file>", "the archive; a file that is there is replaced", `out/${NAME}.tar.gz`)
  .addHelpText(
    "after",
    `
Examples:
  ./run bundle
  ./run bundle --out /media/stick/${NAME}.tar.gz

There, on a system of the same kind (${os}, ${arch}) with a C library no older than this one's:
  tar -xzf ${NAME}.tar.gz && cd ${NAME} && sha256sum -c --quiet MANIFEST.sha256
  ./run train
See docs/offline.md.`,
  );

await main(async () => {
  parseArguments(program);
  const out = resolve(program.opts().out);
  if (!/\.(tar\.gz|tgz)$/.test(out)) {
    throw new InputError(`--out ${out}: its name must end in .tar.gz`);
  }
  const root = fileURLToPath(new URL("..", import.meta.url));
  Deno.mkdirSync(join(out, ".."), { recursive: true });
  const work = Deno.makeTempDirSync({ dir: join(out, ".."), prefix: ".bundle." });
  try {
    console.log("packing, about a minute");
    const lines = await writeBundle(root, join(work, NAME));
    const archive = join(work, basename(out));
    const tar = new Deno.Command("tar", {
      args: ["--owner=0", "--group=0", "-czf", archive, "-C", work, NAME],
    });
    const { success, stderr } = await tar.output();
    if (!success) throw new InputError(`tar: ${new TextDecoder().decode(stderr).trim()}`);
    Deno.renameSync(archive, out);
    const mebibytes = (Deno.statSync(out).size / 2 ** 20).toFixed(0);
    console.log(`${out}, ${mebibytes} MiB:\n${lines.map((line) => `  ${line}`).join("\n")}`);
    console.log(`there: tar -xzf ${basename(out)} && cd ${NAME} && ./run train`);
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
});
