/** What files and command lines say, before it is on a terminal. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { harmless, InputError, shown } from "../../lib/errors.ts";
import { boundedNotes } from "../../lib/io/notes.ts";

const HOSTILE = "a\x1b[31m\x07\x9b2J\r\nerror: b\u202ec\u2066d\u2028e\u200ff";
// deno-lint-ignore no-control-regex
const OBEYED = /[\0-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

Deno.test("names are shown as one line that no terminal obeys", () => {
  assert.equal(
    shown(HOSTILE),
    "a\\x1b[31m\\x07\\x9b2J\\r\\nerror: b\\u202ec\\u2066d\\u2028e\\u200ff",
  );
  assert.equal(shown("Müller, 肺 \u{1f600}"), "Müller, 肺 \u{1f600}");
  assert.equal(harmless("a\n\tb\x1b"), "a\n\tb\\x1b");
});

Deno.test("messages are of at most 300 characters, beginning and end kept", () => {
  const { message } = new InputError(`Cannot read "${"x".repeat(1e7)}": it is too long`);
  assert.equal(message.length, 300);
  assert.match(message, /^Cannot read "x+…x+": it is too long$/);
  assert.equal(new InputError("\x1b".repeat(1e6)).message.length, 300);
  assert.ok(shown("\u{1f600}".repeat(400), 51).isWellFormed(), "no half of a character is left");
});

Deno.test("notes are few and short, and those left out are counted", () => {
  const notes = boundedNotes(Array.from({ length: 250 }, (_, i) => `${i} ${"\n".repeat(1000)}`));
  assert.equal(notes.length, 101);
  assert.ok(notes.every((note) => note.length <= 300 && !note.includes("\n")));
  assert.equal(notes.at(-1), "… and 150 more notes");
});

/** Runs a program that uses lib/cli/main.ts; what it printed. */
async function printedBy(body: string, ...args: string[]): Promise<string> {
  const folder = Deno.makeTempDirSync(),
    at = (path: string) => JSON.stringify(new URL(`../../lib/${path}`, import.meta.url).href);
  try {
    const file = `${folder}/program.ts`;
    Deno.writeTextFileSync(
      file,
      `import { main, parseArguments, printNotes, progressLines } from ${at("cli/main.ts")};
       import { newCommand } from ${at("cli/command.ts")};
       import { CheckFailedError, InputError, NoGpuError } from ${at("errors.ts")};
       const HOSTILE = ${JSON.stringify(HOSTILE)};
       void [parseArguments, printNotes, progressLines, newCommand, CheckFailedError, InputError];
       void NoGpuError;
       await main(async () => { ${body} });`,
    );
    const config = fileURLToPath(new URL("../../deno.json", import.meta.url));
    const flags = ["--quiet", "--no-check", "--no-prompt", "--cached-only", "--allow-read"];
    const { stdout, stderr } = await new Deno.Command("deno", {
      args: ["run", ...flags, "--config", config, file, ...args],
    }).output();
    return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

for (
  const [what, body] of [
    ["console.log", "console.log(HOSTILE)"],
    ["console.error", "console.error(`x ${HOSTILE}`)"],
    ["a note", "printNotes([HOSTILE])"],
    [
      "progress",
      "const p = progressLines('files', 2, '{name}'); p.update(1, { name: HOSTILE }); p.stop()",
    ],
    ["an InputError", "throw new InputError(HOSTILE)"],
    ["a CheckFailedError", "throw new CheckFailedError(HOSTILE)"],
    ["a NoGpuError", "throw new NoGpuError(HOSTILE)"],
    ["another error", "throw new Error(HOSTILE)"],
    [
      "a denied permission",
      "await Deno.readTextFile('/x'); await Deno.writeTextFile('/' + HOSTILE, '')",
    ],
  ] as const
) {
  Deno.test(`what ${what} prints, no terminal obeys`, async () => {
    const text = await printedBy(body);
    assert.doesNotMatch(text, OBEYED);
    assert.ok(text.length > 0);
  });
}

Deno.test("what hides in an option, a note or a progress field begins no line of its own", async () => {
  const option = await printedBy('parseArguments(newCommand("x", ""))', `--${HOSTILE}`);
  assert.match(option, /unknown option '--a\\x1b/);
  assert.doesNotMatch(option, OBEYED);
  for (const body of ["printNotes([HOSTILE])", "throw new InputError(HOSTILE)"]) {
    assert.doesNotMatch(await printedBy(body), /^error: b/m);
  }
  assert.doesNotMatch(option, /^error: b/m);
});
