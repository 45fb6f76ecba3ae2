/** Imports point one way, and only lib/gpu touches WebGPU. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Folder → the folders whose modules it may import, besides its own. A folder that is not here has
 * no place in the picture yet: give it one.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  // Leaves: they know nothing of the rest but how errors are told.
  "lib/errors.ts": [],
  "lib/random": ["lib/errors.ts"],
  "lib/io": ["lib/errors.ts"],
  "lib/mpi": ["lib/errors.ts"],
  "lib/cli": ["lib/errors.ts"],
  "lib/lint": ["lib/errors.ts"],

  // From a formula to kernel calls. Nothing here knows that there is a GPU.
  "lib/graph": ["lib/errors.ts"],
  "lib/ops": ["lib/graph", "lib/random", "lib/errors.ts", "kernels"],

  // From graph to graph: fewer passes over memory, other types.
  "lib/passes": ["lib/ops", "lib/graph", "lib/errors.ts"],

  // From kernel calls to a Plan: no GPU yet. Knows ops only as what lib/graph says about them.
  "lib/plan": ["lib/graph", "lib/errors.ts"],

  // Runs a Plan.
  "lib/gpu": ["lib/plan", "lib/graph", "lib/errors.ts"],

  // What a device makes of single expressions of WGSL.
  "lib/probes": ["lib/gpu", "lib/plan", "lib/random", "lib/errors.ts"],

  // Which variants are right, which are fast, and what was found out about that.
  "lib/tune": [
    "lib/ops",
    "lib/graph",
    "lib/plan",
    "lib/gpu",
    "lib/io",
    "lib/random",
    "lib/errors.ts",
  ],

  "lib/nn": ["lib/ops", "lib/graph", "lib/random", "lib/io", "lib/errors.ts"],

  // What a program is made of. One may use the other, without cycles (checked below).
  "lib/diffusion": ["@program", "@machine"],
  "lib/train": ["@program", "@machine"],
  "lib/data": ["@program", "@machine"],
  "lib/metrics": ["@program", "@machine"],
  "lib/verify": ["@program", "@machine"],
  "lib/audit": ["@program", "@machine"],
  "lib/evaluate": ["@program", "@machine"],

  // Runs the tests of the rest, and knows it only as text.
  "lib/mutate": ["lib/io", "lib/errors.ts"],

  "lib/bench": ["@program", "@machine", "kernels"],

  "scripts": [
    "@program",
    "@machine",
    "lib/verify",
    "lib/audit",
    "lib/bench",
    "lib/evaluate",
    "lib/mutate",
    "lib/browser",
    "lib/cli",
    "lib/mpi",
    "lib/lint",
  ],
  // The library for others.
  "mod.ts": ["lib/diffusion", "@machine"],

  // The page for browsers, a program like any other; and what serves it.
  "examples": ["@program", "@machine", "lib/audit", "lib/bench"],
  "lib/browser": ["lib/diffusion", "lib/nn", "lib/errors.ts"],
};

const GROUPS: Record<string, readonly string[]> = {
  "@program": ["lib/train", "lib/diffusion", "lib/data", "lib/metrics"],
  "@machine": [
    "lib/nn",
    "lib/ops",
    "lib/graph",
    "lib/passes",
    "lib/plan",
    "lib/gpu",
    "lib/probes",
    "lib/tune",
    "lib/io",
    "lib/random",
    "lib/errors.ts",
  ],
};

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Module {
  readonly path: string;
  readonly code: string;
  /** Paths of the repository's files it imports. Packages have none. */
  readonly imports: readonly string[];
}

function modules(path: string): Module[] {
  const full = join(ROOT, path);
  if (!Deno.statSync(full).isDirectory) return path.endsWith(".ts") ? [moduleAt(path)] : [];
  return [...Deno.readDirSync(full)].flatMap((entry) => modules(join(path, entry.name)));
}

const moduleAt = (path: string) => parse(path, Deno.readTextFileSync(join(ROOT, path)));

function parse(path: string, text: string): Module {
  const code = withoutComments(text);
  const specifiers = [
    ...code.matchAll(/\b(?:import|export)\b[^;"'()]*?\bfrom\s*["']([^"']+)["']/g),
    ...code.matchAll(/\bimport\s*\(?\s*["']([^"']+)["']/g),
    // Workers and data files are reached this way.
    ...code.matchAll(/\bnew URL\(\s*["'`](\.[^"'`]+\.(?:ts|wgsl))["'`]/g),
  ].map((match) => match[1]);
  const imports = specifiers.filter((s) => s.startsWith("."))
    .map((s) => join(dirname(path), s));
  return { path, code, imports };
}

/** Without comments; a `//` within quotes, as in an address, is none. */
function withoutComments(text: string): string {
  return text.replace(
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g,
    (_, quoted) => quoted ?? "",
  );
}

/** `lib/ops/conv2d/op.ts` → `lib/ops`; `lib/errors.ts` and `mod.ts` stand for themselves. */
function placeOf(path: string): string {
  const [top, second] = path.split("/");
  return top === "lib" ? `${top}/${second}` : top;
}

function layerErrors({ path, imports }: Module): string[] {
  const place = placeOf(path);
  const allowed = MAY_IMPORT[place]?.flatMap((name) => GROUPS[name] ?? [name]);
  if (!allowed) return [`${path}: ${place} is not in the table of layers`];
  return imports.filter((target) => placeOf(target) !== place)
    .filter((target) => !allowed.includes(placeOf(target)))
    .map((target) => `${path} imports ${target}: ${place} must not know ${placeOf(target)}`);
}

/** WebGPU's objects. Its enumerations and features are named by strings, which all may use. */
const names = (code: string) => code.match(/\bGPU[A-Z]\w*|\bnavigator\s*\??\.\s*gpu\b/g) ?? [];

function gpuErrors({ path, code }: Module): string[] {
  if (placeOf(path) === "lib/gpu") return [];
  return [...new Set(names(code))].map((name) => `${path} names ${name}: only lib/gpu may`);
}

function cycle(all: readonly Module[]): string[] | undefined {
  const byPath = new Map(all.map((m) => [m.path, m]));
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const target of byPath.get(path)?.imports ?? []) {
      const found = visit(target, [...trail, path]);
      if (found) return found;
    }
    done.add(path);
  };
  for (const { path } of all) {
    const found = visit(path, []);
    if (found) return found;
  }
}

/** A cycle between folders is one even where no two files import each other. */
function folderCycle(all: readonly Module[]): string[] | undefined {
  const places = Map.groupBy(all, (m) => placeOf(m.path));
  return cycle([...places].map(([path, files]) => ({
    path,
    code: "",
    imports: [...new Set(files.flatMap((m) => m.imports.map(placeOf)))].filter((p) => p !== path),
  })));
}

const withoutTypes = (code: string) => code.replace(/\b(?:import|export) type\b[^;]*;/g, "");

const tree = ["lib", "scripts", "examples"].flatMap(modules);

Deno.test("imports point one way: scripts → program → nn → ops → graph", () => {
  assert.ok(tree.length > 10);
  assert.deepEqual(tree.flatMap(layerErrors), []);
});

Deno.test("no folder imports one that imports it", () => {
  assert.equal(folderCycle(tree)?.join(" → "), undefined);
});

Deno.test("no file needs one that needs it", () => {
  assert.equal(cycle(tree.map((m) => parse(m.path, withoutTypes(m.code))))?.join(" → "), undefined);
});

Deno.test("only lib/gpu names WebGPU's objects", () => {
  assert.deepEqual(tree.flatMap(gpuErrors), []);
});

/** What keeps a program that starts at `path` from running in a browser. */
function boundToDeno(path: string, seen = new Set<string>()): string[] {
  if (seen.has(path)) return [];
  seen.add(path);
  const code = withoutTypes(withoutComments(Deno.readTextFileSync(join(ROOT, path))));
  const packages = [...code.matchAll(/\b(?:from|import)\s*\(?\s*["']([\w@][^"'\s]*)["']/g)];
  const found = packages.map((match) => `${path} imports ${match[1]}`);
  if (/\bDeno\b/.test(code)) found.push(`${path} names Deno`);
  const { imports } = parse(path, code);
  const next = imports.filter((target) => target.endsWith(".ts"));
  return [...found, ...next.flatMap((target) => boundToDeno(target, seen))];
}

Deno.test("mod.ts and the pages need no Deno, no Node and no package: they work in a browser", () => {
  for (const page of ["page", "conformance", "bench"]) {
    assert.deepEqual(boundToDeno(`examples/browser/${page}.ts`), []);
  }
  assert.deepEqual(boundToDeno("mod.ts"), []);
  const path = "lib/io/atomic.ts";
  assert.deepEqual(boundToDeno(path), [`${path} imports node:path`, `${path} names Deno`]);
});

Deno.test("the checks of layers see what they are for", () => {
  const upward = parse("lib/graph/a.ts", `import type { B } from "../ops/b.ts";`);
  assert.match(layerErrors(upward).join(), /lib\/graph must not know lib\/ops/);
  const several = parse("lib/gpu/a.ts", `import {\n  type A,\n  b,\n} from "../ops/mod.ts";`);
  assert.match(layerErrors(several).join(), /lib\/gpu must not know lib\/ops/);
  const reexport = parse("lib/io/a.ts", `export * from "../data/b.ts";`);
  assert.match(layerErrors(reexport).join(), /lib\/io must not know lib\/data/);
  const dynamic = parse("lib/ops/a.ts", `await import("../gpu/b.ts");`);
  assert.match(layerErrors(dynamic).join(), /lib\/ops must not know lib\/gpu/);
  const nowhere = parse("lib/misc/a.ts", "");
  assert.match(layerErrors(nowhere).join(), /not in the table/);
  assert.deepEqual(layerErrors(parse("lib/nn/a.ts", `// import a from "../train/b.ts"`)), []);

  const typed = parse("lib/train/a.ts", `export function f(device: GPUDevice) {}`);
  assert.match(gpuErrors(typed).join(), /names GPUDevice/);
  assert.match(gpuErrors(parse("scripts/a.ts", "navigator?.gpu")).join(), /names navigator\?\.gpu/);
  assert.deepEqual(gpuErrors(parse("lib/ops/a.ts", "// a GPUDevice\n/* GPUBuffer */")), []);

  const [first, second] = [
    parse("lib/io/a.ts", `import { b } from "./b.ts";`),
    parse("lib/io/b.ts", withoutTypes(`import type { A } from "./a.ts";\nimport "./a.ts";`)),
  ];
  assert.deepEqual(cycle([first, second]), ["lib/io/a.ts", "lib/io/b.ts", "lib/io/a.ts"]);
  assert.equal(
    cycle([first, parse("lib/io/b.ts", withoutTypes(`import type { A } from "./a.ts";`))]),
    undefined,
  );

  const a = parse("lib/data/a.ts", `import "../train/b.ts";`);
  const b = parse("lib/train/b.ts", `import "../data/c.ts";`);
  assert.equal(cycle([a, b]), undefined);
  assert.deepEqual(folderCycle([a, b]), ["lib/data", "lib/train", "lib/data"]);
});
