/** The copy of the project in which mutants are planted, all at once, behind one switch. */

import { dirname, join, relative } from "node:path";
import { walk } from "../io/walk.ts";
import { instrument, type Planted } from "./mutants.ts";

const PARTS = ["lib", "scripts", "kernels", "tests", "examples", "docs", ".ci"];
const FILES = [
  "mod.ts",
  "deno.json",
  "deno.lock",
  "run",
  "README.md",
  "audit.lock.json",
  "LICENSE",
  "CHANGELOG.md",
];

/** Where the switch is, in the copy. Static imports need no permission, in no process. */
const SWITCH = "mutant/switch.ts";
const ACTIVE = "mutant/active.ts";
export const DRIVER = "mutant/driver.ts";

const SWITCH_TEXT = `import { active } from "./active.ts";
export const state = { active, reached: new Uint8Array(65536) };
export function mutant(id) {
  state.reached[id] = 1;
  return state.active === id;
}
export function activate(id) {
  state.active = id;
  Deno.writeTextFileSync(new URL("./active.ts", import.meta.url), "export const active = " + id + ";\\n");
}
`;

/** Which mutant is on in the processes of a copy that start from now on; 0: none. */
export const setActive = (copy: string, id: number) =>
  Deno.writeTextFileSync(join(copy, ACTIVE), `export const active = ${id};\n`);

export interface Copy {
  readonly root: string;
  readonly switchPath: string;
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Every TypeScript module of the project: its path → its text. */
export function moduleTexts(root: string): Map<string, string> {
  const texts = new Map<string, string>();
  for (const part of ["lib", "scripts", "tests"]) {
    if (!isThere(join(root, part))) continue;
    for (const path of walk(join(root, part))) {
      if (path.endsWith(".ts")) texts.set(relative(root, path), Deno.readTextFileSync(path));
    }
  }
  return texts;
}

/** Copies the project to `target`, which is made anew, with the mutants in it, all off. */
export async function makeCopy(
  root: string,
  target: string,
  mutants: readonly Planted[],
): Promise<Copy> {
  // What the package manager put there stays.
  for (const part of PARTS) {
    await Deno.remove(join(target, part), { recursive: true }).catch(() => {});
  }
  const copy = (path: string) => {
    const to = join(target, path);
    Deno.mkdirSync(dirname(to), { recursive: true });
    Deno.copyFileSync(join(root, path), to);
  };
  for (const part of PARTS) {
    if (!isThere(join(root, part))) continue;
    for (const path of walk(join(root, part))) copy(relative(root, path));
  }
  for (const file of FILES) if (isThere(join(root, file))) copy(file);
  const byFile = Map.groupBy(mutants, (m) => m.file);
  for (const [file, own] of byFile) {
    const depth = file.split("/").length - 1;
    const text = instrument(
      Deno.readTextFileSync(join(root, file)),
      own,
      "../".repeat(depth) + SWITCH,
    );
    Deno.writeTextFileSync(join(target, file), text);
  }
  Deno.mkdirSync(join(target, "mutant"), { recursive: true });
  Deno.mkdirSync(join(target, "out/tmp"), { recursive: true });
  Deno.writeTextFileSync(join(target, SWITCH), SWITCH_TEXT);
  Deno.copyFileSync(join(import.meta.dirname!, "driver.ts"), join(target, DRIVER));
  setActive(target, 0);
  return { root: target, switchPath: join(target, SWITCH) };
}
