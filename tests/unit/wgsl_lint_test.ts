import assert from "node:assert/strict";
import { joinedFiles, lintWgsl } from "../../lib/lint/wgsl.ts";

const HEADER = `// Equation: y_i = a · x_i
// Source: none
// Bindings:
//   x  f32 [N], read
//   y  f32 [N], written
// Grid: one invocation an element, in workgroups of WORKGROUP
// Numerics: one f32 multiplication; nothing is accumulated
// Shapes: any N
// Writes: every y_i, once
`;

const BODY = `
struct Params {
  count: u32,
  a: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

override WORKGROUP: u32 = 64;
const LANES = 4u; // @specialize

fn scaled(value: f32) -> f32 {
  return params.a *
    value;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) id: vec3<u32>,
) {
  let i = id.x;
  if (i >= params.count) {
    return;
  } else {
    for (var lane = 0u; lane < LANES; lane++) {
      y[i] = scaled(x[i]);
    }
  }
}
`;

const GOOD = HEADER + BODY;
const messages = (text: string, path = "kernels/scale/forward.wgsl") =>
  lintWgsl(path, text).map(({ line, message }) => `${line}: ${message}`);

Deno.test("wgsl lint accepts a kernel of the right form", () => {
  assert.deepEqual(messages(GOOD), []);
});

const BAD: [name: string, from: string, to: string, expected: RegExp][] = [
  ["no equation", "// Equation: y_i = a · x_i\n", "", /^1: header lacks "\/\/ Equation: …"$/],
  ["an empty section", "// Writes: every y_i, once", "// Writes:", /section "Writes" is empty/],
  ["a section twice", "// Source: none", "// Grid: x", /section "Grid" is there twice/],
  [
    "sections out of order",
    "// Equation: y_i = a · x_i\n// Source: none",
    "// Source: none\n// Equation: y_i = a · x_i",
    /^2: header sections out of order|^1: header sections out of order/,
  ],
  ["an undocumented binding", "//   y  f32 [N], written\n", "", /binding "y" is not in the header/],
  ["a tab", "  a: f32", "\ta: f32", /tab/],
  ["three spaces", "  let i", "   let i", /indented by 3 spaces, not a multiple of two/],
  ["a statement too deep", "  let i", "    let i", /indented by 4 spaces, not 2/],
  ["a brace too deep", "  } else {", "    } else {", /indented by 4 spaces, not 2/],
  ["spaces at the end", "return;", "return; ", /spaces at the end/],
  ["a long line", "// Source: none", "// Source: " + "x".repeat(90), /101 columns; at most 100/],
  ["a template", "id.x;", "id.x + ${offset};", /`\$\{`/],
  ["camelCase in a let", "let i = id.x", "let rowIndex = id.x", /variable "rowIndex" is not snake/],
  ["camelCase in a function", "fn scaled", "fn scaledBy", /function "scaledBy" is not snake_case/],
  ["an upper-case parameter", "value: f32", "Value: f32", /parameter "Value" is not snake_case/],
  ["a parameter behind an attribute", "id) id: vec3", "id) threadId: vec3", /parameter "threadId"/],
  ["a camelCase field", "  count: u32", "  countOf: u32", /field "countOf" is not snake_case/],
  ["a camelCase binding", "read_write> y:", "read_write> yOut:", /variable "yOut" is not snake/],
  ["a lower-case override", "override WORKGROUP", "override size", /override "size" is not UPPER/],
  ["a lower-case constant", "const LANES", "const lanes", /const "lanes" is not UPPER_CASE/],
  ["a lower-case struct", "struct Params", "struct params_t", /struct "params_t" is not Pascal/],
];

for (const [name, from, to, expected] of BAD) {
  Deno.test(`wgsl lint catches ${name}`, () => {
    assert.ok(GOOD.includes(from));
    const found = messages(GOOD.replace(from, to));
    assert.ok(found.some((message) => expected.test(message)), found.join("\n") || "nothing found");
  });
}

Deno.test("wgsl lint wants one line feed at the end of the file", () => {
  assert.match(messages(GOOD.trimEnd()).join(), /no line feed/);
  assert.match(messages(GOOD + "\n").join(), /empty line at the end/);
});

Deno.test("wgsl lint ignores what stands in comments, and names the line of what does not", () => {
  const text = GOOD.replace(
    "let i = id.x;",
    "// let badName = { 1\n  let badName = id.x; // let a_B",
  );
  const line = 1 + text.slice(0, text.indexOf("  let badName")).split("\n").length - 1;
  assert.deepEqual(messages(text), [`${line}: variable "badName" is not snake_case`]);
});

Deno.test("a library file needs only its own first line", () => {
  const body = "\nfn rotated(x: u32) -> u32 {\n  return (x << 1u) | (x >> 31u);\n}\n";
  const path = "kernels/lib/bits.wgsl";
  assert.deepEqual(messages("// Library: bit rotations\n" + body, path), []);
  assert.match(messages(body, path).join(), /starts with "\/\/ Library: "/);
});

Deno.test("a kernel declares the library files it is joined with", () => {
  const text = "// Joins: kernels/lib/philox.wgsl\n" + GOOD;
  assert.deepEqual(joinedFiles(text), ["kernels/lib/philox.wgsl"]);
  assert.deepEqual(messages(text), []);
  assert.deepEqual(joinedFiles(GOOD + "// Joins: kernels/lib/late.wgsl\n"), []);
});

function wgslFiles(folder: URL): URL[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) =>
    entry.isDirectory
      ? wgslFiles(new URL(`${entry.name}/`, folder))
      : entry.name.endsWith(".wgsl")
      ? [new URL(entry.name, folder)]
      : []
  );
}

Deno.test("every kernel of the project has the right form", () => {
  const found = wgslFiles(new URL("../../kernels/", import.meta.url)).flatMap((file) => {
    const path = file.pathname.slice(file.pathname.lastIndexOf("/kernels/") + 1);
    return messages(Deno.readTextFileSync(file), path).map((message) => `${path}:${message}`);
  });
  assert.deepEqual(found, []);
});
