/**
 * `./run bundle`: everything that this program needs, for a machine without a network, as one folder.
 *
 *   the project, node_modules, out/weights where there are any
 *   offline/deno                Deno itself
 *   offline/vulkan/             Mesa's software driver, the loader, and the libraries of both
 *   MANIFEST.sha256             of all files, for `sha256sum -c`
 */

import { createHash } from "node:crypto";
import { basename, join, relative } from "node:path";
import { InputError } from "../errors.ts";
import { PROJECT } from "./folders.ts";

export const OFFLINE = "offline";
export const MANIFEST = "MANIFEST.sha256";
const DRIVERS = "/usr/share/vulkan/icd.d";

/** Parts of the C library: they must be those of the system that the bundle is unpacked on. */
const OF_SYSTEM = /^(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util))\.so\.\d+$/;

/** A copy of files, folders and links as they are. Links of absolute places are refused. */
export function copyTree(from: string, to: string): void {
  const { isDirectory, isSymlink } = Deno.lstatSync(from);
  if (isSymlink) {
    const target = Deno.readLinkSync(from);
    if (target.startsWith("/")) {
      throw new InputError(`${from}: a link to ${target} cannot be packed`);
    }
    Deno.symlinkSync(target, to);
    return;
  }
  if (!isDirectory) return Deno.copyFileSync(from, to);
  Deno.mkdirSync(to, { recursive: true });
  for (const { name } of Deno.readDirSync(from)) copyTree(join(from, name), join(to, name));
}

/** Paths of the files below a folder, links left out, in order. */
function filesOf(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory, isFile }) => {
    const path = join(folder, name);
    return isDirectory ? filesOf(path) : isFile ? [path] : [];
  }).sort();
}

/** As `sha256sum` writes them. */
function manifestOf(folder: string): string {
  return filesOf(folder).map((path) => {
    const hash = createHash("sha256").update(Deno.readFileSync(path)).digest("hex");
    return `${hash}  ./${relative(folder, path)}\n`;
  }).join("");
}

/** Shared libraries that a library is linked with, by their file names, from ldd's output. */
export function librariesOf(ldd: string): Map<string, string> {
  const lines = [...ldd.matchAll(/^\s*(\S+) => (\/\S+) \(0x/gm)];
  const missing = ldd.match(/^\s*(\S+) => not found/m);
  if (missing) {
    throw new InputError(`Cannot pack Mesa's driver: its library ${missing[1]} is missing`);
  }
  return new Map(
    lines.map(([, name, path]): [string, string] => [name, path])
      .filter(([name]) => !OF_SYSTEM.test(name)),
  );
}

async function ldd(path: string): Promise<string> {
  const { stdout } = await new Deno.Command("ldd", { args: [path] }).output();
  return new TextDecoder().decode(stdout);
}

/** Copies Mesa's software driver and Vulkan's loader of this system. @returns what was packed. */
async function packVulkan(to: string): Promise<string> {
  const name = [...Deno.readDirSync(DRIVERS)].map((entry) => entry.name)
    .find((file) => /^lvp_icd\..*json$/.test(file));
  if (!name) throw new InputError(`Cannot pack Mesa's driver: ${DRIVERS} has no lvp_icd`);
  const { ICD, ...rest } = JSON.parse(Deno.readTextFileSync(join(DRIVERS, name)));
  const output = await ldd(ICD.library_path);
  const folder = [...librariesOf(output).values()][0].replace(/\/[^/]*$/, "");
  const driver = ICD.library_path.includes("/") ? ICD.library_path : join(folder, ICD.library_path);
  const loader = join(folder, "libvulkan.so.1");
  const files = new Map([
    ...librariesOf(await ldd(driver)),
    ...librariesOf(await ldd(loader)),
    [basename(loader), loader],
    [basename(driver), driver],
  ]);
  Deno.mkdirSync(to, { recursive: true });
  for (const [file, path] of files) Deno.copyFileSync(path, join(to, file));
  // A path with a slash is relative to the file.
  const json = { ...rest, ICD: { ...ICD, library_path: `./${basename(driver)}` } };
  Deno.writeTextFileSync(join(to, "lvp_icd.json"), JSON.stringify(json, null, 2) + "\n");
  return `Mesa's software driver and the Vulkan loader (${files.size} libraries)`;
}

/**
 * Writes the bundle's folder.
 *
 * @param root the project's folder. @param to a folder that does not exist.
 * @returns what is in it, a line each.
 * @throws InputError where a part is missing.
 */
export async function writeBundle(root: string, to: string): Promise<string[]> {
  const lines: string[] = [];
  Deno.mkdirSync(to, { recursive: true });
  for (const name of PROJECT.filter((name) => name !== ".git")) {
    if (exists(join(root, name))) copyTree(join(root, name), join(to, name));
  }
  lines.push("the program, its tests and its npm packages");
  const weights = join(root, "out", "weights");
  if (exists(weights)) {
    copyTree(weights, join(to, "out", "weights"));
    lines.push(`networks of FID and LPIPS: ${[...Deno.readDirSync(weights)].length} files`);
  } else {lines.push(
      "no networks for FID and LPIPS (./run weights gets them): the rest works without",
    );}
  Deno.mkdirSync(join(to, OFFLINE));
  Deno.copyFileSync(Deno.execPath(), join(to, OFFLINE, "deno"));
  Deno.chmodSync(join(to, OFFLINE, "deno"), 0o755);
  lines.push(`Deno ${Deno.version.deno}`);
  if (Deno.build.os === "linux") lines.push(await packVulkan(join(to, OFFLINE, "vulkan")));
  Deno.writeTextFileSync(join(to, MANIFEST), manifestOf(to));
  lines.push(`${MANIFEST}, the SHA-256 of every file`);
  return lines;
}

const exists = (path: string): boolean => {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
};
