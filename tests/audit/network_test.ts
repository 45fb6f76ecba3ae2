/** No task lets a module reach the network by import(), whatever it imports and from where. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const tasks: Record<string, { command: string }> =
  JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))).tasks;
const programs = Object.entries(tasks).filter(([, { command }]) => command.startsWith("deno run "));

const KINDS = ["https://jsr.io/ID.ts", "https://esm.sh/ID", "https://github.com/ID.ts"].concat(
  ["npm:id-ID@1", "jsr:@id/ID@1", "http://127.0.0.1:PORT/ID.ts"],
);

/** Imports of every kind: of a built name, of a static one, and both again in a worker. */
const PROBE = `
const id = ["PAT", "IENT"].join("");
const names = KINDS.map((kind) => kind.replace("ID", id));
const code = (name) => "import " + JSON.stringify(name);
const page = (text) => "data:text/javascript," + encodeURIComponent(text);
for (const name of names) {
  await import(name).catch(() => {});
  await import(page(code(name.replace(id, id + "-static")))).catch(() => {});
}
const text = "for (const n of " + JSON.stringify(names.map((n) => n.replace(id, id + "-worker"))) +
  ") await import(n).catch(() => {}); postMessage(0)";
await new Promise((done) => {
  const worker = new Worker(page(text), { type: "module" });
  worker.onmessage = done;
  worker.onerror = (event) => { event.preventDefault(); done(); };
});
console.log("tried");
Deno.exit(0);`;

/** Prints the first line of whatever connects to it. */
const SINK = `
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(listener.addr.port);
for await (const connection of listener) {
  const bytes = new Uint8Array(4096);
  connection.read(bytes).then((n) => {
    console.log(new TextDecoder().decode(bytes.subarray(0, n ?? 0)).split("\\r\\n")[0]);
    connection.close();
  }).catch(() => {});
}`;

/** Runs the probe below each list of flags. @returns what reached the sink, a list for each. */
async function reached(flagLists: readonly string[][]): Promise<string[][]> {
  const folder = await Deno.makeTempDir();
  const sinkFile = join(folder, "sink.js"), probeFile = join(folder, "probe.js");
  await Deno.writeTextFile(sinkFile, SINK);
  const sink = new Deno.Command("deno", {
    args: ["run", "--no-config", "--allow-net=127.0.0.1", sinkFile],
    stdout: "piped",
  }).spawn();
  const lines: string[] = [];
  const reader = sink.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const port = Number((await reader.read()).value);
    const reading = (async () => {
      for (let part; !(part = await reader.read()).done;) {
        lines.push(...part.value.split("\n").filter(Boolean));
      }
    })();
    const kinds = KINDS.map((kind) => kind.replace("PORT", String(port)));
    await Deno.writeTextFile(probeFile, `const KINDS = ${JSON.stringify(kinds)};${PROBE}`);
    const address = `http://127.0.0.1:${port}`;
    const result: string[][] = [];
    for (const [i, flags] of flagLists.entries()) {
      const { stdout, stderr } = await new Deno.Command("deno", {
        args: ["run", "--no-check", "--config", join(ROOT, "deno.json"), ...flags, probeFile],
        cwd: ROOT,
        env: {
          DENO_DIR: join(folder, `cache${i}`),
          NPM_CONFIG_REGISTRY: address,
          JSR_URL: `${address}/jsr/`,
          HTTP_PROXY: address,
          HTTPS_PROXY: address,
          NO_PROXY: "",
        },
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert.equal(text, "tried\n", new TextDecoder().decode(stderr));
      await new Promise((next) => setTimeout(next, 20)); // the sink's last line
      result.push(lines.splice(0));
    }
    await reader.cancel();
    await reading;
    return result;
  } finally {
    sink.kill("SIGKILL");
    await sink.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** Of `deno run FLAGS scripts/…`. */
const flagsOf = (command: string) =>
  command.split(" scripts/")[0].split(" ").filter((word) => word.startsWith("--"));

Deno.test("imports over https, http, npm and jsr reach nothing from any task", async () => {
  assert.ok(programs.length > 15);
  const lists = programs.map(([, { command }]) => flagsOf(command));
  const seen = await reached(lists);
  for (const [i, [name]] of programs.entries()) assert.deepEqual(seen[i], [], name);
});

Deno.test("the sink sees every kind of import where --cached-only is missing", async () => {
  const flags = flagsOf(tasks.prepare.command).filter((flag) => flag !== "--cached-only");
  const [seen] = await reached([flags]);
  for (const host of ["jsr.io", "esm.sh", "id-PATIENT", "jsr/@id/PATIENT", "/PATIENT.ts"]) {
    assert.ok(seen.some((line) => line.includes(host)), `${host}: ${seen.join("; ")}`);
  }
  for (const where of ["id-PATIENT-static", "id-PATIENT-worker"]) {
    assert.ok(seen.some((line) => line.includes(where)), `${where}: ${seen.join("; ")}`);
  }
});
