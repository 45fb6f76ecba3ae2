/** Bugs to plant in TypeScript: found in the syntax tree, all written into one copy, one at a time on. */

import { parse } from "@babel/parser";

export const KINDS = [
  "arithmetic",
  "comparison",
  "boundary",
  "condition",
  "constant",
  "default",
  "argument order",
  "dropped call",
  "dropped assignment",
] as const;
export type Kind = typeof KINDS[number];

/** A place in a text, and what stands there when the bug is on. */
export interface Mutant {
  readonly kind: Kind;
  /** Of the first character, from 1. */
  readonly line: number;
  readonly start: number;
  readonly end: number;
  readonly before: string;
  readonly after: string;
  /** How the switch is written: around an expression, before a statement, among arguments. */
  readonly form: "expression" | "statement" | "arguments";
}

/** A mutant of a file, with its number in the copy. */
export interface Planted extends Mutant {
  readonly id: number;
  readonly file: string;
}

/** A node of Babel's tree, of which only what is asked for here is known. */
interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly loc: { readonly start: { readonly line: number } };
  // deno-lint-ignore no-explicit-any
  readonly [key: string]: any;
}

const ARITHMETIC: Record<string, string> = {
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "%": "*",
  "+=": "-=",
  "-=": "+=",
  "*=": "/=",
  "/=": "*=",
  "<<": ">>",
  ">>": "<<",
  "&": "|",
  "|": "&",
};
const COMPARISON: Record<string, string> = {
  "===": "!==",
  "!==": "===",
  "<": ">=",
  "<=": ">",
  ">": "<=",
  ">=": "<",
};
const BOUNDARY: Record<string, string> = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" };
const LOGIC: Record<string, string> = { "&&": "||", "||": "&&" };

/** What is only said to people, and what only watches: no test promises its words. */
const TALK = /^(console\.|process\.stderr|assert\b|(progress|bar|lines)\.)/;

/** @returns every mutant of a module's text, in the order of the text. */
export function findMutants(text: string): Mutant[] {
  const found: Mutant[] = [];
  const source = (node: Node) => text.slice(node.start, node.end);
  const add = (node: Node, kind: Kind, after: string, form: Mutant["form"] = "expression") => {
    const { start, end, loc } = node;
    found.push({ kind, line: loc.start.line, start, end, before: source(node), after, form });
  };
  /** `node` with the operator between its two sides replaced. */
  const withOperator = (node: Node, operator: string) => {
    // Parentheses around a side are part of no side.
    const between = text.slice(node.left.end, node.right.start).replace(node.operator, operator);
    return text.slice(node.start, node.left.end) + between + text.slice(node.right.start, node.end);
  };
  const isText = (node: Node): boolean =>
    node.type === "StringLiteral" || node.type === "TemplateLiteral" ||
    node.type === "BinaryExpression" && (isText(node.left) || isText(node.right));

  function operators(node: Node) {
    const { operator } = node;
    if (ARITHMETIC[operator] && !(operator === "+" && isText(node))) {
      add(node, "arithmetic", withOperator(node, ARITHMETIC[operator]));
    }
    if (COMPARISON[operator]) add(node, "comparison", withOperator(node, COMPARISON[operator]));
    if (BOUNDARY[operator]) add(node, "boundary", withOperator(node, BOUNDARY[operator]));
    if (LOGIC[operator]) add(node, "condition", withOperator(node, LOGIC[operator]));
    if (operator === "??") add(node, "default", source(node.right));
  }

  function literal(node: Node, isDefault: boolean) {
    const kind = isDefault ? "default" : "constant";
    if (node.type === "BooleanLiteral") return add(node, kind, String(!node.value));
    const { value } = node;
    add(node, kind, Number.isInteger(value) ? String(value + 1) : String(value * 1.5));
  }

  function call(node: Node) {
    const [a, b] = node.arguments as Node[];
    const swaps = node.arguments.length >= 2 && a.type !== "SpreadElement" &&
      b.type !== "SpreadElement" && !/Function/.test(a.type + b.type) && !isText(a) && !isText(b) &&
      source(a) !== source(b) && b.type !== "ObjectExpression" &&
      !/^Math\.(max|min|hypot)$/.test(source(node.callee)); // the same in any order
    if (!swaps) return;
    const { start, loc } = a;
    const pair = { type: "", start, end: b.end, loc };
    add(pair, "argument order", `${source(b)}, ${source(a)}`, "arguments");
  }

  function visit(node: Node | null, isDefault = false): void {
    if (!node) return;
    const { type } = node;
    const inner = /^TS(As|NonNull|Satisfies)Expression$/.test(type);
    if (type.startsWith("TS") && !inner) return;
    if (/^(Import|Export(All|Named))Declaration$/.test(type) && node.source) return;
    if (type === "ThrowStatement") return; // words of an error
    switch (type) {
      case "TSAsExpression":
      case "TSNonNullExpression":
      case "TSSatisfiesExpression":
        return visit(node.expression, isDefault);
      case "ExpressionStatement": {
        const of = node.expression.type === "AwaitExpression"
          ? node.expression.argument
          : node.expression;
        if (TALK.test(source(node.expression))) return;
        if (of.type === "CallExpression" && of.callee.type !== "Super") {
          add(node, "dropped call", ";", "statement");
        }
        if (of.type === "AssignmentExpression" && of.operator === "=") {
          add(node, "dropped assignment", ";", "statement");
        }
        break;
      }
      case "BinaryExpression":
      case "LogicalExpression":
      case "AssignmentExpression":
        operators(node);
        if (type === "AssignmentExpression" && node.operator === "??=") isDefault = true;
        if (node.operator === "??") {
          visit(node.left);
          return visit(node.right, true);
        }
        break;
      case "UnaryExpression":
        if (node.operator === "!") add(node, "condition", source(node.argument));
        if (node.operator === "-") {
          if (node.argument.type === "NumericLiteral") return literalNegative(node, isDefault);
          add(node, "arithmetic", source(node.argument));
        }
        break;
      case "IfStatement":
      case "ConditionalExpression":
        add(node.test, "condition", "true");
        add(node.test, "condition", "false");
        break;
      case "NumericLiteral":
      case "BooleanLiteral":
        return literal(node, isDefault);
      case "CallExpression":
      case "NewExpression":
        call(node);
        if (/\.(option|argument)$/.test(source(node.callee))) {
          visit(node.callee);
          node.arguments.forEach((argument: Node) => visit(argument, true));
          return;
        }
        break;
      case "AssignmentPattern":
        visit(node.left);
        return visit(node.right, true);
      case "ObjectProperty":
      case "ClassProperty":
        if (node.computed) visit(node.key);
        if (node.shorthand && node.value.type === "Identifier") return;
        return visit(node.value, type === "ClassProperty");
    }
    for (const [key, value] of Object.entries(node)) {
      if (key === "loc" || key === "extra" || key.endsWith("omments") || key.startsWith("type")) {
        continue;
      }
      if (key === "returnType") continue;
      for (const child of Array.isArray(value) ? value : [value]) {
        if (child && typeof child === "object" && typeof child.type === "string") visit(child);
      }
    }
  }
  function literalNegative(node: Node, isDefault: boolean) {
    add(node, isDefault ? "default" : "constant", source(node.argument));
  }

  const { program } = parse(text, { sourceType: "module", plugins: ["typescript"] });
  visit(program as unknown as Node);
  return found.filter((m) => m.before !== m.after).sort((a, b) =>
    a.start - b.start || b.end - a.end
  );
}

/**
 * The text with mutants written in, each behind a switch that the module `switchPath` holds; `ids`
 * are their numbers there.
 */
export function instrument(
  text: string,
  mutants: readonly Planted[],
  switchPath: string,
): string {
  const sorted = mutants.toSorted((a, b) =>
    a.start - b.start || b.end - a.end ||
    Number(a.form === "expression") - Number(b.form === "expression")
  );
  /** text[start, end) with the mutants from `from` on that lie in it; `used`: how many those are. */
  function write(start: number, end: number, from: number): { text: string; next: number } {
    let out = "", at = start, next = from;
    while (next < sorted.length && sorted[next].start < end) {
      const mutant = sorted[next], { id } = mutant;
      out += text.slice(at, mutant.start);
      const inner = write(mutant.start, mutant.end, next + 1);
      const on = `__mutant(${id})`;
      if (mutant.form === "statement") out += `{ if (!${on}) { ${inner.text} } }`;
      else if (mutant.form === "arguments") {
        out += `...(${on} ? [${mutant.after}] : [${inner.text}])`;
      } else out += `(${on} ? (${mutant.after}) : (${inner.text}))`;
      at = mutant.end;
      next = inner.next;
    }
    return { text: out + text.slice(at, end), next };
  }
  const body = write(0, text.length, 0).text;
  return `import { mutant as __mutant } from ${JSON.stringify(switchPath)};\n${body}`;
}
