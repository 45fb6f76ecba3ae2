/** What tasks may do, and that nothing they read can widen that. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const tasks = JSON.parse(Deno.readTextFileSync(new URL("deno.json", ROOT))).tasks;

function* modules(folder: URL): Generator<URL> {
  for (const entry of Deno.readDirSync(folder)) {
    const url = new URL(entry.name + (entry.isDirectory ? "/" : ""), folder);
    if (entry.isDirectory) yield* modules(url);
    else if (entry.name.endsWith(".ts")) yield url;
  }
}

Deno.test("nothing here is started with all permissions; tasks name what they are given", () => {
  const all = /(?<![\w-])-[A](?![\w-])|--allow-[a]ll/; // brackets: this line is looked at too
  const files = ["deno.json", "run", ".ci/run", "README.md", "mod.ts"].map((f) => new URL(f, ROOT));
  for (const folder of ["lib/", "scripts/", "tests/", "examples/"]) {
    files.push(...modules(new URL(folder, ROOT)));
  }
  for (const url of files) assert.doesNotMatch(Deno.readTextFileSync(url), all, url.pathname);
  const bare = /--allow-(net|run|env|ffi|sys)(?=\s|$)/;
  for (const [name, { command }] of Object.entries(tasks as Record<string, { command: string }>)) {
    assert.doesNotMatch(command, bare, name);
  }
});

Deno.test("training and sampling tasks ask for no network, no processes and no libraries", () => {
  for (const name of ["train", "sample", "audit"]) {
    const { command } = tasks[name] as { command: string };
    assert.match(command, /^deno run --no-prompt /, name);
    assert.doesNotMatch(command, /--allow-(net|run|ffi|all|sys)|--allow-import| -[A]\b/, name);
    assert.doesNotMatch(command, /&&|;|\|/, `${name} runs one program`);
  }
});

Deno.test("the page's server may listen on this machine alone; only `weights` may leave it", () => {
  const networked = Object.entries(tasks as Record<string, { command: string }>)
    .filter(([, { command }]) => /--allow-(net|all)| -[A]\b/.test(command)).map(([name]) => name);
  assert.deepEqual(networked.sort(), ["browser", "weights"]);
  assert.match(tasks.browser.command, / --allow-net=127\.0\.0\.1 /);
});

Deno.test("under the training task's flags, a program that tries gets no way out", async () => {
  const flags = (tasks.train.command as string).split(" ").filter((w) => w.startsWith("--"));
  const probe = `
    const tries = {
      fetch: () => fetch("https://example.com"),
      connect: () => Deno.connect({ hostname: "127.0.0.1", port: 9 }),
      listen: () => Deno.listen({ port: 0 }),
      run: () => new Deno.Command("true").output(),
      ffi: () => Deno.dlopen("libc.so.6", {}),
      code: () => import("https://example.com/a.ts"),
      ask: async () => {
        const p = await Deno.permissions.request({ name: "net" });
        if (p.state !== "granted") throw new Deno.errors.NotCapable("denied");
      },
      worker: () => new Promise((_, no) => {
        const url = "data:text/javascript,fetch('https://example.com')" +
          ".catch((e)=>postMessage(e.name))";
        new Worker(url, { type: "module" }).onmessage = (e) => no(new Error(e.data));
      }),
    };
    for (const [name, go] of Object.entries(tries)) {
      try { await go(); console.log(name, "WORKED"); }
      catch (e) { console.log(name, e.name === "Error" ? e.message : e.name); }
    }
    Deno.exit(0);`;
  const folder = Deno.makeTempDirSync();
  const file = `${folder}/probe.ts`;
  Deno.writeTextFileSync(file, probe);
  const { stdout } = await new Deno.Command("deno", {
    args: ["run", "--no-check", ...flags, file],
    cwd: fileURLToPath(ROOT),
  }).output();
  Deno.removeSync(folder, { recursive: true });
  const lines = new TextDecoder().decode(stdout).trim().split("\n");
  assert.equal(lines.length, 8, lines.join("; "));
  for (const line of lines) assert.match(line, /NotCapable|TypeError/, line);
});

Deno.test("what files hold never becomes code: kernels are text, data is parsed", () => {
  for (const folder of ["lib/", "scripts/"]) {
    for (const url of modules(new URL(folder, ROOT))) {
      const code = Deno.readTextFileSync(url).replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, "");
      const where = url.pathname.slice(new URL(ROOT).pathname.length);
      if (where.startsWith("scripts/peers/")) continue; // other programs, started by the benchmark
      if (where === "lib/mutate/driver.ts") continue; // a process of `mutate`, which loads tests
      assert.doesNotMatch(code, /\beval\s*\(|new Function\b/, where);
      // MPI is a task of its own, with the permission to load one library.
      if (!where.startsWith("lib/mpi/")) assert.doesNotMatch(code, /Deno\.dlopen/, where);
      for (const [, argument] of code.matchAll(/\bimport\s*\(\s*([^)]*)\)/g)) {
        assert.match(argument, /^["']/, `${where}: import(${argument})`);
      }
      for (const [, path, rest] of code.matchAll(/from\s+["']([^"']+\.wgsl)["']([^;]*);/g)) {
        assert.match(rest, /type: "text"/, `${where}: ${path}`);
      }
    }
  }
});
