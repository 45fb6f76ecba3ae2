/** Small planted bugs in WGSL: what a check must find. */

import { random } from "./cases.ts";

export interface Mutant {
  readonly file: string;
  /** From 1, in the file. */
  readonly line: number;
  readonly kind: string;
  readonly before: string;
  readonly after: string;
}

interface Rule {
  readonly kind: string;
  readonly pattern: RegExp;
  replace(match: RegExpMatchArray): string;
}

const RULES: readonly Rule[] = [
  { kind: "sign", pattern: / \+ /g, replace: () => " - " },
  { kind: "sign", pattern: / - /g, replace: () => " + " },
  { kind: "sign", pattern: /(?<=[=(,] ?)-(?=[\w(])/g, replace: () => "" },
  { kind: "operator", pattern: / \* /g, replace: () => " + " },
  { kind: "operator", pattern: / \/ /g, replace: () => " * " },
  { kind: "operator", pattern: / % /g, replace: () => " / " },
  { kind: "operator", pattern: / << /g, replace: () => " >> " },
  { kind: "operator", pattern: / >> /g, replace: () => " << " },
  { kind: "operator", pattern: / \^ /g, replace: () => " | " },
  { kind: "operator", pattern: / \+= /g, replace: () => " -= " },
  { kind: "operator", pattern: / \+= /g, replace: () => " = " },
  { kind: "comparison", pattern: / < /g, replace: () => " <= " },
  { kind: "comparison", pattern: / >= /g, replace: () => " > " },
  // Not "> 0" of a loop that halves: "u32 >= 0" never ends.
  { kind: "comparison", pattern: / > (?!0u?;)/g, replace: () => " >= " },
  { kind: "comparison", pattern: / == /g, replace: () => " != " },
  { kind: "comparison", pattern: / != /g, replace: () => " == " },
  { kind: "comparison", pattern: / && /g, replace: () => " || " },
  {
    kind: "constant",
    pattern: /(?<![\w.])(\d+\.\d+)(?![\w.])/g,
    replace: ([n]) => Number(n) === 0 ? "0.5" : `${Number(n) * 1.5}`.replace(/^\d+$/, "$&.0"),
  },
  {
    kind: "constant",
    pattern: /(?<![\w.<])(0x[0-9a-f]+|\d+)(u?)(?![\w.])/gi,
    replace: ([, n, u]) => `${Number(n) + 1}${u}`,
  },
  { kind: "index", pattern: /(?<=\w)\.x\b/g, replace: () => ".y" },
  { kind: "index", pattern: /(?<=\w)\.y\b/g, replace: () => ".x" },
  { kind: "index", pattern: /(?<=\w)\.z\b/g, replace: () => ".w" },
  { kind: "index", pattern: /(?<=\w)\.w\b/g, replace: () => ".z" },
  { kind: "index", pattern: /(?<=\w)\[(\w+)\](?!\s*[-+*]?=)/g, replace: ([, i]) => `[${i} + 1]` },
  { kind: "function", pattern: /\bmin\(/g, replace: () => "max(" },
  { kind: "function", pattern: /\bmax\(/g, replace: () => "min(" },
  { kind: "function", pattern: /\bexp\(/g, replace: () => "exp2(" },
  { kind: "function", pattern: /\bsqrt\(/g, replace: () => "abs(" },
  { kind: "function", pattern: /\binverseSqrt\(/g, replace: () => "sqrt(" },
  { kind: "function", pattern: /\bcos\(/g, replace: () => "sin(" },
  { kind: "function", pattern: /\bsin\(/g, replace: () => "cos(" },
  { kind: "function", pattern: /\blog\(/g, replace: () => "log2(" },
  {
    kind: "function",
    pattern: /\bselect\(([^(),]+), ([^(),]+), /g,
    replace: ([, a, b]) => `select(${b}, ${a}, `,
  },
  {
    kind: "statement",
    pattern: /^\s*[\w.()*]+(\[[^\]]*\])?\s*[-+*]?= [^;]*;$/g,
    replace: () => "",
  },
  { kind: "statement", pattern: /^\s*workgroupBarrier\(\);$/g, replace: () => "" },
];

/** Lines that declare; what they say is fixed by the plan, or the text would not compile. */
const FIXED =
  /^\s*(\/\/|@|override|alias|struct|fn |\}|enable|var<workgroup>|\w+: [\w<>]+,$)|@builtin|@specialize|@group|^$/;

/** All places that a rule fits, in the order of the lines. */
export function allMutants(file: string, text: string): Mutant[] {
  const mutants: Mutant[] = [];
  let parameters = false;
  text.split("\n").forEach((line, i) => {
    // A function's parameters, one a line.
    if (/^fn \w+\($/.test(line)) parameters = true;
    if (parameters) {
      if (/^\)/.test(line)) parameters = false;
      return;
    }
    if (FIXED.test(line)) return;
    // The step of a loop stays, so that every mutant ends.
    const loop = /^\s*for \(/.test(line);
    const end = loop ? line.lastIndexOf(";") : line.length;
    const comment = line.indexOf("//");
    for (const { kind, pattern, replace } of RULES) {
      if (kind === "statement" && loop) continue;
      for (const match of line.matchAll(pattern)) {
        if (match.index >= end || comment >= 0 && match.index >= comment) continue;
        const after = line.slice(0, match.index) + replace(match) +
          line.slice(match.index + match[0].length);
        mutants.push({ file, line: i + 1, kind, before: line.trim(), after: after.trim() });
      }
    }
  });
  return mutants;
}

/**
 * The candidates in the order to try them: seeded, kinds taking turns, first those of lines that no
 * earlier one changes.
 */
export function ordered(mutants: readonly Mutant[], seed = 1): Mutant[] {
  const rng = random(seed);
  const kinds = [...Map.groupBy(mutants, (m) => m.kind).values()].map((list) =>
    list.map((m) => ({ m, key: rng() })).sort((a, b) => a.key - b.key).map(({ m }) => m)
  );
  const turns: Mutant[] = [];
  for (let i = 0; turns.length < mutants.length; i++) {
    for (const list of kinds) if (list[i]) turns.push(list[i]);
  }
  const seen = new Set<number>();
  const fresh = turns.filter((m) => !seen.has(m.line) && seen.add(m.line));
  return [...fresh, ...turns.filter((m) => !fresh.includes(m))];
}

/**
 * Plants the mutant in a shader's final text, of which the file is a part: a kernel stands last, or
 * before one library, the others before it. Returns undefined where the file's line is not in the text.
 */
export function plant(finalText: string, fileText: string, mutant: Mutant): string | undefined {
  const own = fileText.split("\n");
  const header = own.slice(0, own.findIndex((l) => !l.startsWith("//"))).join("\n");
  if (!finalText.includes(header)) return undefined;
  const lines = finalText.split("\n");
  const head = lines.lastIndexOf(own[0]);
  const behind = lines.findIndex((line, i) => i > head && line.startsWith("// Library:"));
  // Specialised lines may lose the empty lines behind them: a kernel is counted from its end.
  const start = header.startsWith("// Library:")
    ? head
    : (behind < 0 ? lines.length : behind) - own.length;
  const at = start + mutant.line - 1;
  if (at < 0 || lines[at]?.trim() !== mutant.before) return undefined;
  lines[at] = mutant.after;
  return lines.join("\n");
}
