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

interface Documented {
  readonly name: string;
  readonly declarations: readonly {
    readonly kind: string;
    readonly location: { readonly filename: string };
    readonly jsDoc?: { readonly tags?: readonly { readonly kind: string }[] };
  }[];
}

/** What is exported and runs: functions, classes and values. */
async function exported(): Promise<Documented["declarations"][0][]> {
  const { nodes } = JSON.parse(await deno(["doc", "--json", "mod.ts"]));
  const symbols: Documented[] = Object.values<{ symbols: Documented[] }>(nodes)
    .flatMap((module) => module.symbols);
  return symbols.flatMap(({ name, declarations }) =>
    declarations.filter(({ kind }) => ["function", "class", "variable"].includes(kind))
      .map((declaration) => ({ ...declaration, name }))
  );
}

Deno.test("all that mod.ts exports is documented, with an example that runs", async () => {
  await deno(["doc", "--lint", "mod.ts"]);
  const symbols = await exported();
  assert.ok(symbols.length > 30, `${symbols.length}`);
  const bare = symbols.filter(({ jsDoc }) => !jsDoc?.tags?.some((tag) => tag.kind === "example"));
  assert.deepEqual(bare, []);
  const files = [...new Set(symbols.map(({ location }) => fileURLToPath(location.filename)))];
  await deno(["test", "--doc", "--cached-only", "--frozen", ...files]);
});

Deno.test("the README's example learns, from a folder of its own", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const [, code] = readme.match(/```ts\n([\s\S]*?)```/)!;
  const folder = await Deno.makeTempDir({ dir: join(ROOT, "out", "tmp") });
  try {
    const imports = { "@lung-ddpm/webgpu": join(ROOT, "mod.ts") };
    await Deno.writeTextFile(join(folder, "deno.json"), JSON.stringify({ imports }));
    await Deno.writeTextFile(join(folder, "main.ts"), code);
    const lines = (await deno(["run", "--check", "main.ts"], folder)).trim().split("\n");
    const losses = lines.map((line) => Number(line.split(" ")[1]));
    assert.equal(losses.length, 3);
    assert.ok(losses[2] < losses[1] && losses[1] < losses[0] / 2, losses.join(" "));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
