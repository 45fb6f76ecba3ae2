/** Which test files meet a module: what imports what, and which scripts a test starts. */

import { basename, dirname, join } from "node:path";

/** A test file, and how it comes to the modules below it. */
export interface TestFile {
  readonly path: string;
  /** Module → imports on the way there. */
  readonly distance: ReadonlyMap<string, number>;
  /** Modules that also run where this process does not see them: in workers, or in processes. */
  readonly elsewhere: ReadonlySet<string>;
  /** Modules that this process itself imports. */
  readonly imported: ReadonlySet<string>;
  /** Starts processes or computes on a GPU: takes seconds where others take milliseconds. */
  readonly slow: boolean;
}

/** Its examples open GPUs that no test opens. */
const DOCUMENTATION = /\/\*\*[\s\S]*?\*\//g;
const SLOW = /\b(openGpu|withGpu|withTrainer|requestAdapter|Deno\.Command)\b/;
/** Of what a test calls itself; who only imports what opens a GPU need not open one. */
const STARTS = /\bDeno\.Command\b/;

interface Edges {
  readonly imports: readonly string[];
  /** Run in a worker or a process of their own. */
  readonly starts: readonly string[];
}

function edgesOf(path: string, text: string, scripts: readonly string[]): Edges {
  const below = (specifier: string) => join(dirname(path), specifier);
  const of = (pattern: RegExp) =>
    [...text.matchAll(pattern)].map((m) => m[1]).filter((s) => s.startsWith(".")).map(below);
  const started = text.includes("Deno.Command")
    ? scripts.filter((script) => {
      const name = basename(script, ".ts");
      return text.includes(`"${name}"`) || text.includes(`${name}.ts`);
    })
    : [];
  return {
    imports: [
      ...of(/\b(?:import|export)\b[^;"'()]*?\bfrom\s*["']([^"']+)["']/g),
      ...of(/\bimport\s*\(?\s*["']([^"']+)["']/g),
    ],
    starts: [...of(/\bnew URL\(\s*["'`](\.[^"'`]+\.ts)["'`]/g), ...started],
  };
}

/**
 * @param files every module of the project, tests among them: path → text.
 * @returns the test files, with what each comes to.
 */
export function testFilesOf(files: ReadonlyMap<string, string>): TestFile[] {
  const scripts = [...files.keys()].filter((path) => /^scripts\/\w+\.ts$/.test(path));
  const edges = new Map([...files].map(([path, text]) => [path, edgesOf(path, text, scripts)]));
  const isTest = (path: string) => path.startsWith("tests/") && path.endsWith("_test.ts");
  return [...files.keys()].filter(isTest).map((path) => {
    const distance = new Map([[path, 0]]);
    const elsewhere = new Set<string>(), imported = new Set([path]);
    const queue: [string, boolean][] = [[path, false]];
    for (let at = 0; at < queue.length; at++) {
      const [here, apart] = queue[at];
      const next = edges.get(here);
      if (!next) continue;
      for (const [targets, starts] of [[next.imports, false], [next.starts, true]] as const) {
        for (const target of targets) {
          const isApart = apart || starts;
          const known = isApart ? elsewhere : imported;
          if (known.has(target)) continue;
          known.add(target);
          if (!distance.has(target)) distance.set(target, distance.get(here)! + 1);
          queue.push([target, isApart]);
        }
      }
    }
    // The test, what helps tests, and what it calls itself.
    const own = [...distance].filter(([p, far]) => far <= 1 || p.startsWith("tests/"));
    return {
      path,
      distance,
      elsewhere,
      imported,
      slow: own.some(([p]) =>
        (p.startsWith("tests/") ? SLOW : STARTS).test(
          (files.get(p) ?? "").replace(DOCUMENTATION, ""),
        )
      ),
    };
  });
}

/** The test files that come to a module, the quick ones first, then the nearest. */
export function testsFor(module: string, tests: readonly TestFile[]): TestFile[] {
  return tests.filter((test) => test.distance.has(module)).sort((a, b) =>
    Number(a.slow) - Number(b.slow) || a.distance.get(module)! - b.distance.get(module)! ||
    (a.path < b.path ? -1 : 1)
  );
}
