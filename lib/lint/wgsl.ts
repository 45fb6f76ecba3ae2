/** Form rules of the WGSL files in `kernels/`: header, layout and names. Compiling is not done here. */

export interface Problem {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** What every kernel says first, in this order, each followed by text. */
export const HEADER_SECTIONS = [
  "Equation",
  "Source",
  "Bindings",
  "Grid",
  "Numerics",
  "Shapes",
  "Writes",
] as const;

const MAX_COLUMNS = 100;
const SNAKE_CASE = /^_?[a-z][a-z0-9]*(_[a-z0-9]+)*_?$/;
const UPPER_CASE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/;
const PASCAL_CASE = /^[A-Z][a-zA-Z0-9]*$/;

/** True for files that are only ever joined in front of kernels. */
export const isLibrary = (path: string): boolean => /(^|\/)kernels\/lib\/[^/]+\.wgsl$/.test(path);

/**
 * Library files that a kernel's header declares with `// Joins: kernels/lib/NAME.wgsl`, one a line.
 * With their text in front, the kernel must be a valid module.
 */
export function joinedFiles(text: string): string[] {
  return headerLines(text).flatMap((line) => line.match(/^\/\/ Joins: (\S+)\s*$/)?.slice(1) ?? []);
}

/** All departures from the rules, in the order of the lines. `path` decides whether it is a library. */
export function lintWgsl(path: string, text: string): Problem[] {
  const header = isLibrary(path) ? libraryHeader(text) : kernelHeader(text);
  const problems = [...header, ...layout(text), ...indentation(text), ...names(text)];
  return problems.sort((a, b) => a.line - b.line);
}

function headerLines(text: string): string[] {
  const lines = text.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  return end < 0 ? lines : lines.slice(0, end);
}

function libraryHeader(text: string): Problem[] {
  return /^\/\/ Library: \S/.test(text)
    ? []
    : [{ line: 1, message: 'a library file starts with "// Library: " and what it is for' }];
}

function kernelHeader(text: string): Problem[] {
  const problems: Problem[] = [];
  const sections = new Map<string, { line: number; text: string }>();
  let current: { line: number; text: string } | undefined;
  headerLines(text).forEach((line, i) => {
    const [, label, rest] = line.match(/^\/\/ ([A-Z][a-z]+):(.*)$/) ?? [];
    if (label && (HEADER_SECTIONS as readonly string[]).includes(label)) {
      if (sections.has(label)) {
        problems.push({ line: i + 1, message: `header section "${label}" is there twice` });
      }
      sections.set(label, current = { line: i + 1, text: rest });
    } else if (current) {
      current.text += "\n" + line.slice(2);
    }
  });
  let last = 0;
  for (const label of HEADER_SECTIONS) {
    const section = sections.get(label);
    if (!section) {
      problems.push({ line: 1, message: `header lacks "// ${label}: …"` });
      continue;
    }
    if (section.text.trim() === "") {
      problems.push({ line: section.line, message: `header section "${label}" is empty` });
    }
    if (section.line < last) {
      const order = HEADER_SECTIONS.join(", ");
      problems.push({
        line: section.line,
        message: `header sections out of order; it is ${order}`,
      });
    }
    last = Math.max(last, section.line);
  }
  return [...problems, ...undocumentedBindings(text, sections.get("Bindings")?.text ?? "")];
}

/**
 * Every binding variable must be named in the header's Bindings; `params` need not, as the fields
 * of its struct say what they are.
 */
function undocumentedBindings(text: string, documented: string): Problem[] {
  const named = new Set(documented.match(/\w+/g));
  return [...withoutComments(text).matchAll(/@binding\(\d+\)\s*var(?:<[^>]*>)?\s*(\w+)/g)]
    .filter(([, name]) => name !== "params" && !named.has(name))
    .map((match) => ({
      line: lineAt(text, match.index),
      message: `binding "${match[1]}" is not in the header's Bindings`,
    }));
}

function layout(text: string): Problem[] {
  const problems: Problem[] = [];
  text.split("\n").forEach((content, i) => {
    const add = (message: string) => problems.push({ line: i + 1, message });
    if (content.includes("\t")) add("tab; indent with two spaces");
    if (content.includes("\r")) add("carriage return; end lines with a line feed alone");
    if (/[ \t]$/.test(content)) add("spaces at the end of the line");
    if (content.includes("${")) add("`${`: kernels are no templates; use override or @specialize");
    const columns = [...content].length;
    if (columns > MAX_COLUMNS) add(`${columns} columns; at most ${MAX_COLUMNS}`);
  });
  if (!text.endsWith("\n")) {
    problems.push({
      line: text.split("\n").length,
      message: "no line feed at the end of the file",
    });
  } else if (text.endsWith("\n\n")) {
    problems.push({
      line: text.split("\n").length - 1,
      message: "empty line at the end of the file",
    });
  }
  return problems;
}

/**
 * A statement stands two spaces in for each open brace; what continues one stands in by some more,
 * also a multiple of two.
 */
function indentation(text: string): Problem[] {
  const problems: Problem[] = [];
  let braces = 0;
  let brackets = 0;
  let continues = false;
  withoutComments(text).split("\n").forEach((content, i) => {
    const code = content.trim();
    if (code === "") return;
    const indent = content.length - content.trimStart().length;
    const closing = code.match(/^\}+/)?.[0].length ?? 0;
    const expected = 2 * (braces - closing);
    if (indent % 2 !== 0) {
      problems.push({
        line: i + 1,
        message: `indented by ${indent} spaces, not a multiple of two`,
      });
    } else if (brackets === 0 && !continues && indent !== expected) {
      problems.push({ line: i + 1, message: `indented by ${indent} spaces, not ${expected}` });
    }
    for (const c of code) {
      if (c === "{") braces++;
      else if (c === "}") braces--;
      else if (c === "(" || c === "[") brackets++;
      else if (c === ")" || c === "]") brackets--;
    }
    continues = !/[;{},]$/.test(code) && !/^@\w+(\(.*\))?$/.test(code);
  });
  return problems;
}

function names(text: string): Problem[] {
  const code = withoutComments(text);
  const problems: Problem[] = [];
  const check = (index: number, name: string, what: string, form: RegExp, formName: string) => {
    if (!form.test(name)) {
      problems.push({ line: lineAt(text, index), message: `${what} "${name}" is not ${formName}` });
    }
  };
  for (const match of code.matchAll(/\b(override|const)\s+(\w+)/g)) {
    // A constant inside a function may be named as the variables beside it are.
    const local = match[1] === "const" && depthAt(code, match.index) > 0;
    const form = local ? new RegExp(`${SNAKE_CASE.source}|${UPPER_CASE.source}`) : UPPER_CASE;
    check(match.index, match[2], match[1], form, local ? "snake_case or UPPER_CASE" : "UPPER_CASE");
  }
  for (const match of code.matchAll(/\b(?:let|var)\s*(?:<[^>]*>)?\s*(\w+)/g)) {
    check(match.index, match[1], "variable", SNAKE_CASE, "snake_case");
  }
  for (const match of code.matchAll(/\b(struct|alias)\s+(\w+)/g)) {
    check(match.index, match[2], match[1], PASCAL_CASE, "PascalCase");
  }
  for (const match of code.matchAll(/\bfn\s+(\w+)\s*\(/g)) {
    check(match.index, match[1], "function", SNAKE_CASE, "snake_case");
    const start = match.index + match[0].length;
    for (const name of declared(code.slice(start, closingParenthesis(code, start)))) {
      check(start + name.index, name.text, "parameter", SNAKE_CASE, "snake_case");
    }
  }
  for (const match of code.matchAll(/\bstruct\s+\w+\s*\{([^}]*)\}/g)) {
    const start = match.index + match[0].indexOf("{") + 1;
    for (const name of declared(match[1])) {
      check(start + name.index, name.text, "field", SNAKE_CASE, "snake_case");
    }
  }
  return problems;
}

/** Names in a list of `@attribute(…) name: type`. */
function declared(list: string): { index: number; text: string }[] {
  return [...list.matchAll(/(\w+)\s*:/g)].map((m) => ({ index: m.index, text: m[1] }));
}

function closingParenthesis(code: string, start: number): number {
  let depth = 1;
  for (let i = start; i < code.length; i++) {
    if (code[i] === "(") depth++;
    else if (code[i] === ")" && --depth === 0) return i;
  }
  return code.length;
}

function depthAt(code: string, index: number): number {
  const before = code.slice(0, index);
  return before.split("{").length - before.split("}").length;
}

const lineAt = (text: string, index: number) => text.slice(0, index).split("\n").length;

/** Comments become spaces, so that every character keeps its place. */
function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, " ");
  return text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, blank);
}
