/** What the page's server hands out, and to whom; the page as static files. No browser needed. */

import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { browserModules } from "../../lib/browser/modules.ts";
import { ROOT } from "./chromium.ts";

const MODEL = join(ROOT, "tests/fixtures/diffusers_tiny");

async function task(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: ["task", "--quiet", "browser", ...args],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("the server answers programs of this machine that know its name, with its files alone", async () => {
  // In a process of its own: tests have no network.
  const probe = `
    import { serve } from ${JSON.stringify(new URL("../../lib/browser/serve.ts", import.meta.url))};
    const files = new Map([["index.html", new TextEncoder().encode("<p>page</p>")]]);
    const site = serve(files, 0);
    const { port, pathname } = new URL(site.address);
    const ask = async (line, host) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      const text = line + " HTTP/1.1\\r\\nHost: " + host + "\\r\\nConnection: close\\r\\n\\r\\n";
      await connection.write(new TextEncoder().encode(text));
      const answer = await new Response(connection.readable).text();
      console.log(JSON.stringify([line.replace(pathname, "/TOKEN/"), host.split(":")[0],
        answer.split(" ")[1], answer.split("\\r\\n\\r\\n")[1].trim(),
        /nosniff[^]*frame-ancestors 'none'|frame-ancestors 'none'[^]*nosniff/.test(answer)]));
    };
    const own = "127.0.0.1:" + port;
    await ask("GET " + pathname, own);
    await ask("GET " + pathname + "index.html?x", "localhost:" + port);
    await ask("HEAD " + pathname, own);
    await ask("GET " + pathname, "evil.example:" + port);
    await ask("GET " + pathname + "../deno.json", own);
    await ask("GET " + pathname + "%2e%2e/deno.json", own);
    await ask("GET " + pathname + "deno.json", own);
    await ask("POST " + pathname, own);
    await ask("GET /", own);
    await ask("GET /index.html", own);
    await ask("GET " + "/" + "0".repeat(32) + "/", own);
    console.log(JSON.stringify(/^\\/[0-9a-f]{32}\\/$/.test(pathname)));
    const again = serve(files, 0);
    console.log(JSON.stringify(new URL(again.address).pathname !== pathname));
    try { serve(files, Number(port)); } catch (error) { console.log(JSON.stringify(error.message)); }
    Deno.exit(0);`;
  const folder = await Deno.makeTempDir({ prefix: "serve-" });
  const file = join(folder, "probe.ts");
  await Deno.writeTextFile(file, probe);
  const { stdout, stderr } = await new Deno.Command("deno", {
    args: ["run", "--no-check", "--no-prompt", "--allow-net=127.0.0.1", file],
    cwd: ROOT,
  }).output();
  await Deno.remove(folder, { recursive: true });
  const text = new TextDecoder().decode(stdout).trim();
  assert.ok(text, new TextDecoder().decode(stderr));
  const answers = text.split("\n").map((line) => JSON.parse(line));
  const taken = answers.pop();
  assert.deepEqual(answers.splice(-2), [true, true], "a token of 128 bits, new at each start");
  const stranger = "open the address that ./run browser printed";
  assert.deepEqual(answers, [
    ["GET /TOKEN/", "127.0.0.1", "200", "<p>page</p>", true],
    ["GET /TOKEN/index.html?x", "localhost", "200", "<p>page</p>", true],
    ["HEAD /TOKEN/", "127.0.0.1", "200", "", true],
    ["GET /TOKEN/", "evil.example", "403", "not this host", false],
    ["GET /TOKEN/../deno.json", "127.0.0.1", "403", stranger, false],
    ["GET /TOKEN/%2e%2e/deno.json", "127.0.0.1", "403", stranger, false],
    ["GET /TOKEN/deno.json", "127.0.0.1", "404", "no such file", false],
    ["POST /TOKEN/", "127.0.0.1", "405", "only GET", false],
    ["GET /", "127.0.0.1", "403", stranger, false],
    ["GET /index.html", "127.0.0.1", "403", stranger, false],
    [`GET /${"0".repeat(32)}/`, "127.0.0.1", "403", stranger, false],
  ]);
  assert.match(taken, /^--port \d+ is taken by another program$/);
});

async function* programs(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* programs(path);
    else yield path;
  }
}

Deno.test("what browsers do not have, or cannot read without types, is refused by name", async () => {
  const folder = await Deno.makeTempDir({ prefix: "modules-" });
  const refused = async (code: string, why: RegExp) => {
    await Deno.writeTextFile(join(folder, "a.ts"), code);
    await assert.rejects(browserModules(new URL(`file://${folder}/`), ["a.ts"]), why);
  };
  await refused(`import { join } from "node:path";\nexport { join };\n`, /a.ts imports node:path/);
  await refused(`class A {\n  constructor(readonly b: number) {}\n}\n`, /a.ts cannot be read with/);
  await Deno.writeTextFile(join(folder, "a.ts"), `import type { Stats } from "node:fs";\n`);
  const modules = await browserModules(new URL(`file://${folder}/`), ["a.ts"]);
  assert.equal(modules.get("a.js")!.trim(), "");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("--build writes static files that ask for nothing from outside; wrong use is told", async () => {
  const folder = await Deno.makeTempDir({ prefix: "build-" });
  const { code, err } = await task("--model", MODEL, "--build", folder);
  assert.equal(code, 0, err);
  const read = (name: string) => Deno.readTextFile(join(folder, name));
  for (
    const [name, program] of [["index", "page"], ["conformance", "conformance"], ["bench", "bench"]]
  ) {
    const page = await read(`${name}.html`);
    assert.match(page, /Content-Security-Policy"\s+content="default-src 'none'/);
    const links = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map((match) => match[1]);
    assert.deepEqual(links.sort(), [`app/examples/browser/${program}.js`, "data:,", "page.css"]);
  }
  for await (const path of programs(join(folder, "app"))) {
    const code = await Deno.readTextFile(path);
    for (const [, target] of code.matchAll(/\b(?:from|import)\s*"(\.[^"\n]*)"/g)) {
      assert.ok((await Deno.stat(join(dirname(path), target))).isFile, `${path}: ${target}`);
    }
  }
  const source = (await Deno.readTextFile(join(ROOT, "lib/graph/graph.ts"))).split("\n");
  const kept = (await read("app/lib/graph/graph.js")).split("\n");
  assert.equal(kept.length, source.length, "lines stay where they are");
  const { default: kernel } = await import(
    `data:text/javascript,${encodeURIComponent(await read("app/kernels/silu/forward.wgsl.js"))}`
  );
  assert.equal(kernel, await Deno.readTextFile(join(ROOT, "kernels/silu/forward.wgsl")));
  const described = JSON.parse(await read("model/model.json"));
  assert.deepEqual([described.name, described.provenance], ["diffusers_tiny", null]);
  for (const name of ["config.json", "diffusion_pytorch_model.safetensors"]) {
    assert.deepEqual(
      await Deno.readFile(join(folder, "model", name)),
      await Deno.readFile(join(MODEL, name)),
    );
  }
  await Deno.remove(folder, { recursive: true });

  const both = await task("--model", MODEL, "--run", MODEL);
  assert.deepEqual([both.code, both.err], [2, "error: give either --run or --model\n"]);
  const none = await task("--run", MODEL);
  assert.equal(none.code, 2);
  assert.match(none.err, /^error: .*no training run/);
});
