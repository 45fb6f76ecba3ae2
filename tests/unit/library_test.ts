/** `mod.ts` as others see it: documented, with examples that run, and usable from another folder. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

async function deno(args: string[], cwd = ROOT): Promise<string> {
  const command = new Deno.Command("deno", { args, cwd, env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assert.ok(success, `deno ${args.join(" ")}:\n${out}\n${err}`);
  return out;
}

/** Checks the types of programs that use the library from a folder of their own, and runs them. */
async function run(programs: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir({ dir: join(ROOT, "out", "tmp") });
  const write = (name: string, text: string) => Deno.writeTextFile(join(folder, name), text);
  try {
    const imports = { "@lung-ddpm/webgpu": join(ROOT, "mod.ts") };
    await write("deno.json", JSON.stringify({ imports }));
    for (const [i, text] of programs.entries()) await write(`${i}.ts`, `${text}\nexport {};\n`);
    await write("main.ts", programs.map((_, i) => `import "./${i}.ts";\n`).join(""));
    return await deno(["run", "--check", "main.ts"], folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Declaration {
  readonly kind: string;
  readonly jsDoc?: { readonly tags?: readonly { readonly kind: string; readonly doc: string }[] };
}

interface Documented {
  readonly name: string;
  readonly declarations: readonly Declaration[];
}

/** The examples of what is exported and runs: functions, classes and values. */
async function examples(): Promise<{ name: string; code: string | undefined }[]> {
  const { nodes } = JSON.parse(await deno(["doc", "--json", "mod.ts"]));
  const symbols = Object.values<{ symbols: Documented[] }>(nodes).flatMap((file) => file.symbols);
  return symbols.flatMap(({ name, declarations }) =>
    declarations.filter(({ kind }) => ["function", "class", "variable"].includes(kind))
      .map(({ jsDoc }) => {
        const doc = jsDoc?.tags?.find((tag) => tag.kind === "example")?.doc;
        return { name, code: doc?.match(/```ts\n([\s\S]*?)```/)?.[1] };
      })
  );
}

Deno.test("all that mod.ts exports has an example that runs; the README's learns", async () => {
  await deno(["doc", "--lint", "mod.ts"]);
  const found = await examples();
  assert.ok(found.length > 30, `${found.length}`);
  assert.deepEqual(found.filter(({ code }) => code === undefined).map(({ name }) => name), []);
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const [, code] = readme.match(/```ts\n([\s\S]*?)```/)!;
  const printed = await run([...found.map(({ code }) => code!), code]);
  const losses = printed.trim().split("\n").map((line) => Number(line.split(" ")[1]));
  assert.equal(losses.length, 3, printed);
  assert.ok(losses[2] < losses[1] && losses[1] < losses[0] / 2, printed);
});
