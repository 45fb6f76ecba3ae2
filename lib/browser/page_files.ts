/** The pages of examples/browser as files for a browser. */

import { browserModules } from "./modules.ts";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = "examples/browser/";
const COPIED = ["index.html", "conformance.html", "bench.html", "page.css"];
const PROGRAMS = ["page.ts", "conformance.ts", "bench.ts"];

/** Name → content: the pages and their style, and below `app/` their programs, as in the project. */
export async function pageFiles(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of COPIED) files.set(name, await Deno.readFile(new URL(FOLDER + name, ROOT)));
  const modules = await browserModules(ROOT, PROGRAMS.map((name) => FOLDER + name));
  for (const [path, code] of modules) files.set(`app/${path}`, new TextEncoder().encode(code));
  return files;
}
