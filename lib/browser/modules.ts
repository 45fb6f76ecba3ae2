/**
 * The project's modules as browsers take them. Nothing is bundled or translated: types are blanked out,
 * so that every line and column stays what it is in the source, and imports are pointed at the results.
 */

import { stripTypeScriptTypes } from "node:module";

/** Static imports and re-exports, as the formatter lays them out; types are gone by then. */
const IMPORT = new RegExp(
  "^(" +
    String.raw`(?:import|export)\s*(?:\w+\s*,?\s*)?` + // a default import
    String.raw`(?:\{[^{}]*\}\s*|\*\s*(?:as\s+\w+\s*)?)?(?:from\s*)?` +
    ")" +
    String.raw`"([^"\n]+)"(?:\s*with\s*\{\s*type:\s*"text"\s*,?\s*\})?;`,
  "gm",
);

/** `lib/graph/op.ts` → `lib/graph/op.js`, `kernels/silu/forward.wgsl` → `….wgsl.js`. */
const outputName = (path: string) =>
  path.endsWith(".wgsl") ? `${path}.js` : path.replace(/\.ts$/, ".js");

/**
 * Modules and all that they import.
 *
 * @param root the project's folder. @param entries paths below it.
 * @returns path of the result, below the same root → program.
 * @throws where a module imports what browsers do not have, or is not plain JavaScript with types.
 */
export async function browserModules(
  root: URL,
  entries: readonly string[],
): Promise<Map<string, string>> {
  const modules = new Map<string, string>();
  const visit = async (path: string) => {
    const name = outputName(path);
    if (modules.has(name)) return;
    modules.set(name, "");
    const text = await Deno.readTextFile(new URL(path, root));
    if (path.endsWith(".wgsl")) {
      modules.set(name, `export default ${JSON.stringify(text)};\n`);
      return;
    }
    const targets: string[] = [];
    const code = erase(path, text).replace(IMPORT, (_, head, target) => {
      if (!/^\.\.?\//.test(target)) {
        throw new Error(`${path} imports ${target}, which browsers do not have`);
      }
      targets.push(new URL(target, new URL(path, root)).href.slice(root.href.length));
      return `${head}"${outputName(target)}";`;
    });
    if (/^[^/*]*(?:\bimport\s*\(|\bfrom\s*"[^"]*\.(?:ts|wgsl)")/m.test(code)) {
      throw new Error(`${path} imports in a way that is not understood here`);
    }
    modules.set(name, code);
    for (const target of targets) await visit(target);
  };
  for (const entry of entries) await visit(entry);
  return modules;
}

function erase(path: string, text: string): string {
  try {
    return stripTypeScriptTypes(text, { mode: "strip" });
  } catch (error) {
    throw new Error(`${path} cannot be read without its types: ${(error as Error).message}`);
  }
}
