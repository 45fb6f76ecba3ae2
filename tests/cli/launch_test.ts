/** From a command line to permissions: tables that agree, folders that options name, and no other. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { closest } from "../../lib/cli/closest.ts";
import { grants, pathsGiven, PROJECT } from "../../lib/cli/folders.ts";
import { denied } from "../../lib/cli/main.ts";
import { ESCAPES, TASKS } from "../../lib/cli/tasks.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");
const tasks: Record<string, { command: string }> =
  JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))).tasks;
const programs = Object.entries(tasks).filter(([, { command }]) => command.startsWith("deno run "));

function inFolder(body: (folder: string) => Promise<void> | void): () => Promise<void> {
  return async () => {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "launch test " }));
    try {
      await body(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  };
}

const link = async (target: string, path: string) =>
  assert.ok(
    (await new Deno.Command("sh", { args: ["-c", 'ln -s "$1" "$2"', "sh", target, path] }).output())
      .success,
  );

/** What `./run` would start, as words. */
async function launch(caller: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [
      ...["run", "--no-prompt", "--no-config", "--no-lock", "--cached-only", "--allow-read"],
      ...[join(ROOT, "scripts/launch.ts"), ROOT, join(caller, "cache"), ...args],
    ],
    cwd: caller,
  }).output();
  const said = new TextDecoder().decode(stdout), err = new TextDecoder().decode(stderr);
  const words = [...said.matchAll(/'((?:[^']|'\\'')*)'/g)].map(([, w]) =>
    w.replaceAll("'\\''", "'")
  );
  return { code, err, words };
}

async function start(words: readonly string[], cwd: string) {
  const { code, stdout, stderr } = await new Deno.Command("deno", {
    args: [...words],
    cwd,
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test("deno.json and the table of tasks agree, and no task may ask or fetch", () => {
  for (const [name, { command }] of programs) {
    assert.match(command, /^deno run --no-prompt --cached-only --frozen /, name);
    const bare = /--allow-(read|write)(?= )/.test(command);
    const isRow = name in TASKS, isEscape = ESCAPES.includes(name);
    assert.ok(!bare || isRow !== isEscape, `${name}: a line in lib/cli/tasks.ts is needed`);
    // What starts programs is confined by nothing, and is said to be so.
    assert.equal(/--allow-run/.test(command), isEscape, name);
  }
  for (const name of [...Object.keys(TASKS), ...ESCAPES]) {
    assert.ok(name in tasks, `${name} is in lib/cli/tasks.ts, but not in deno.json`);
  }
});

Deno.test("--help of every task runs nothing, names commands as they are typed, and every path option is in the table", async () => {
  const missing: string[] = [];
  for (const [name] of Object.entries(tasks)) {
    const { code, words } = await launch(ROOT, name, "--help");
    assert.equal(code, 0, name);
    if (words[0] === "--help-of") continue; // the formatter and its like: a line, printed by run
    const { code: ended, out, err } = await start(words.filter((w) => w !== "--in-root"), ROOT);
    assert.equal(ended, 0, `${name}: ${err}`);
    assert.equal(err, "", name);
    assert.match(out, /^Usage: /, name);
    assert.match(out, /\n {2}(OP=\S+ |mpirun .*)?\.\/run /, `${name} has no example`);
    assert.doesNotMatch(out, /deno task|deno run/, name);
    if (ESCAPES.includes(name)) continue;
    const row = TASKS[name] ?? {};
    const known = `${row.reads ?? ""} ${row.writes ?? ""}`.split(" ").map((w) =>
      w.split(/=|\.\.\./)[0]
    );
    const path =
      /^ {2}(--[\w-]+) <(?:[^>]*\b(?:folder|dir|file|path|npy|nii|mask|volume)\b[^>]*)>/gm;
    for (const [, option] of out.matchAll(path)) {
      if (!known.includes(option)) missing.push(`${name} ${option}`);
    }
  }
  assert.deepEqual(missing, [], "options that name paths, without permission for them");
});

Deno.test("a misspelt flag: exit code 2, the name that was meant, and nothing else", async () => {
  for (const name of ["prepare", "bench:data", "wgsl:lint", "ok"]) {
    const { words } = await launch(
      ROOT,
      name,
      ...(name === "prepare" ? ["--out=o"] : []),
      "--hlep",
    );
    const { code, out, err } = await start(words.filter((w) => w !== "--in-root"), ROOT);
    assert.deepEqual([code, out], [2, ""], name);
    assert.equal(err, "error: unknown option '--hlep'\n(Did you mean --help?)\n", name);
  }
  for (
    const [args, expected] of [
      [["fmt", "--chekc"], "error: unknown option '--chekc': did you mean --check?\n"],
      [["lint", "--hlep"], "error: unknown option '--hlep': did you mean --help?\n"],
      [["check", "--zzzzzz"], "error: unknown option '--zzzzzz'\n"],
      [
        ["fmt", "prepared"],
        "error: fmt takes no files: it works on the project's own folders (deno.json)\n",
      ],
    ] as const
  ) {
    const { code, err } = await launch(ROOT, ...args);
    assert.deepEqual([code, err], [2, expected]);
  }
  for (
    const [args, expected] of [
      [["bench", "kernls"], /^error: bench has no "kernls": did you mean kernels\?\n$/],
      [["bench", "zzzzzzzz"], /^error: bench has no "zzzzzzzz": it has kernels, /],
    ] as const
  ) {
    const { code, err } = await launch(ROOT, ...args);
    assert.equal(code, 2);
    assert.match(err, expected);
  }
  const { words: kernels } = await launch(ROOT, "bench", "kernels", "--json", "k.json");
  assert.ok(kernels.some((word) => word.endsWith("scripts/bench_kernels.ts")));
  assert.ok(!kernels.includes("kernels") && !kernels.some((word) => /^--allow-run/.test(word)));
  assert.deepEqual((await launch(ROOT, "fmt", "--check")).words.slice(0, 2), ["--in-root", "fmt"]);
});

Deno.test("values of options are found as commander takes them", () => {
  const task = { reads: "--data --from...", writes: "--out=x", readsArguments: true };
  const found = (...args: string[]) =>
    pathsGiven(task, args).map(({ option, value }) => `${option} ${value}`);
  assert.deepEqual(found("--data", "a b", "--data=c=d", "--out=-x"), [
    ...["--data a b", "--data c=d", "--out -x"],
  ]);
  assert.deepEqual(found("--out", "--odd", "run"), ["--out --odd", "arguments run"]);
  assert.deepEqual(found("--from", "a", "b", "--list", "c"), [
    ...["--from a", "--from b", "arguments c"],
  ]);
  assert.deepEqual(found("--", "--data", "a"), ["arguments --data", "arguments a"]);
  assert.deepEqual(found("--data"), []);
});

Deno.test(
  "an output is written where it lies, its parents neither read nor written",
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "far"));
    await link("far", join(folder, "near"));
    const place = { root: ROOT, caller: folder, cache: join(folder, "cache") };
    const task = { reads: "--data", writes: "--out=out/x" };
    const usual = grants(task, [], place);
    assert.deepEqual(usual.writes[0], join(folder, "out/x"));
    const behind = grants(task, ["--out=near/new/run"], place);
    assert.deepEqual(behind.args, [`--out=${folder}/far/new/run`]);
    assert.ok(behind.writes.includes(join(folder, "far/new/run")));
    for (const { reads, writes } of [usual, behind]) {
      for (
        const path of [folder, join(folder, "far"), ROOT, join(ROOT, "runs"), join(ROOT, "out")]
      ) {
        assert.ok(!writes.includes(path), path);
        assert.ok(!reads.includes(path), path);
      }
    }
    const input = grants(task, ["--data", "near", "--out", "o"], place);
    assert.deepEqual(input.args, ["--data", "near", "--out", "o"]);
    assert.ok(
      input.reads.includes(join(folder, "far")) && input.reads.includes(join(folder, "near")),
    );
  }),
);

Deno.test(
  "a usual output that is a file can be written where its folder is missing",
  inFolder(async (folder) => {
    const place = { root: ROOT, caller: folder, cache: join(folder, "cache") };
    const usual = Object.entries(TASKS).flatMap(([name, { writes = "" }]) =>
      writes.split(" ").flatMap((word) => {
        const path = word.split("=")[1];
        return path && /\.\w+$/.test(path) ? [[name, path] as const] : [];
      })
    );
    assert.ok(usual.length >= 4);
    const writer = join(folder, "writer.ts");
    const atomic = JSON.stringify(pathToFileURL(join(ROOT, "lib/io/atomic.ts")));
    await Deno.writeTextFile(
      writer,
      `import { writeFileAtomic } from ${atomic}; await writeFileAtomic(Deno.args[0], "x");`,
    );
    for (const [name, path] of usual) {
      const target = join(folder, path);
      const { reads, writes } = grants(TASKS[name], [], place);
      const { success, stderr } = await new Deno.Command("deno", {
        args: [
          ...["run", "--no-prompt", "--no-config", `--allow-read=${reads.join()}`],
          ...[`--allow-write=${writes.join()}`, writer, target],
        ],
      }).output();
      assert.ok(success, `${name}: ${new TextDecoder().decode(stderr)}`);
      assert.equal(await Deno.readTextFile(target), "x", name);
      // There now, it is no more the task's to write to.
      assert.ok(!grants(TASKS[name], [], place).writes.includes(join(target, "..")), name);
      await Deno.remove(join(target, ".."), { recursive: true });
    }
  }),
);

Deno.test("no output may be the project, hold it or be a part of it, but for its own outputs", () => {
  const place = { root: ROOT, caller: ROOT, cache: "/nowhere" };
  const to = (out: string) => () => grants({ writes: "--out" }, ["--out", out], place);
  for (const out of [".", "..", "/", "lib", "lib/cli/new", "run", "deno.json", ".git/hooks"]) {
    assert.throws(to(out), /^InputError: --out .* this program: choose another place/, out);
  }
  for (const out of ["out/a", "runs/a", "prepared", "audit.html", "library"]) to(out)();
});

Deno.test("every file of the project is in the list of what no task may write", () => {
  const ignored = Deno.readTextFileSync(join(ROOT, ".gitignore")).split("\n")
    .map((line) => line.replaceAll("/", ""));
  const own = [...Deno.readDirSync(ROOT)].map(({ name }) => name)
    .filter((name) => name === "node_modules" || !ignored.includes(name));
  for (const name of own.filter((n) => /^[.\w]+$/.test(n) && !n.endsWith(".log"))) {
    // Untracked folders of who works here are none of its files: those have a known place in it.
    const isCode = /\.(ts|json|md|lock|cff)$|^(LICENSE|run)$/.test(name);
    if (isCode || ["lib", "scripts", "tests", "kernels", "examples", "docs"].includes(name)) {
      assert.ok(PROJECT.includes(name), `${name}: add it to PROJECT in lib/cli/folders.ts`);
    }
  }
});

Deno.test(
  "with prepare's permissions a module can neither list home, nor rewrite the project, nor look beside its input",
  inFolder(async (folder) => {
    for (const name of ["in", "beside"]) {
      await Deno.mkdir(join(folder, name));
      await Deno.writeTextFile(join(folder, name, "f"), "x");
    }
    const { words } = await launch(folder, "prepare", "--dicom", "in", "--out=made here");
    const probe = join(folder, "probe.js");
    await Deno.writeTextFile(
      probe,
      `const tries = {
        "read input": () => Deno.readTextFileSync("in/f"),
        "write output": () => (Deno.mkdirSync("made here"), Deno.writeTextFileSync("made here/a", "")),
        "write output by its whole path": () => Deno.writeTextFileSync(${
        JSON.stringify(join(folder, "made here/b"))
      }, ""),
        home: () => [...Deno.readDirSync(${JSON.stringify(folder)})],
        root: () => [...Deno.readDirSync("/")],
        beside: () => Deno.readTextFileSync("beside/f"),
        "write input": () => Deno.writeTextFileSync("in/g", ""),
        "write beside": () => Deno.writeTextFileSync("beside/g", ""),
        "write home": () => Deno.writeTextFileSync("g", ""),
        run: () => Deno.openSync(${JSON.stringify(join(ROOT, "run"))}, { append: true }).close(),
        config: () => Deno.openSync(${
        JSON.stringify(join(ROOT, "deno.json"))
      }, { append: true }).close(),
        link: () => Deno.symlinkSync("/", "made here/link"),
        "hard link": () => Deno.linkSync("beside/f", "made here/f"),
        start: () => new Deno.Command("true").outputSync(),
        environment: () => Deno.env.get("PATH"),
        listen: () => Deno.listen({ port: 0 }),
      };
      for (const [name, go] of Object.entries(tries)) {
        try { go(); console.log(name); } catch (e) { if (e.name !== "NotCapable") console.log(name, e.name); }
      }`,
    );
    const at = words.findIndex((word) => word.endsWith("scripts/prepare.ts"));
    const { code, out, err } = await start([...words.slice(0, at), "--no-check", probe], folder);
    assert.equal(code, 0, err);
    assert.deepEqual(out.trim().split("\n"), [
      ...["read input", "write output", "write output by its whole path"],
    ]);
  }),
);

Deno.test(
  "a run's data are read where its config.json names them, also when a run goes on",
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "run"));
    const data = join(folder, "patients");
    await Deno.writeTextFile(join(folder, "run/config.json"), JSON.stringify({ data, steps: 1 }));
    for (
      const args of [
        ["train", "--resume", "--out", "run"],
        ["evaluate", "--run=run"],
        ["reproduce", "run"],
      ]
    ) {
      const { words } = await launch(folder, ...args);
      const reads = words.find((word) => word.startsWith("--allow-read="))!.slice(13).split(",");
      assert.ok(reads.includes(data), args.join(" "));
    }
    // Of several folders each, also one with a weight.
    const list = [data, `${join(folder, "synthetic")}:0.5`];
    await Deno.writeTextFile(join(folder, "run/config.json"), JSON.stringify({ data: list }));
    const { words: resumed } = await launch(folder, "train", "--resume", "--out", "run");
    const read = resumed.find((word) => word.startsWith("--allow-read="))!.slice(13).split(",");
    assert.ok(read.includes(data) && read.includes(join(folder, "synthetic")));
    const { words } = await launch(folder, "prepare", "--dicom", "run", "--out", "o");
    assert.ok(
      !words.some((word) => word.includes(data)),
      "a data set says nothing of what is read",
    );
  }),
);

Deno.test(
  "./run works from any folder: spaces, links, missing parents, outputs that are files",
  inFolder(async (folder) => {
    await Deno.mkdir(join(folder, "far"));
    await link("far", join(folder, "near"));
    const go = async (...args: string[]) => {
      const { code, words, err } = await launch(folder, ...args);
      assert.equal(code, 0, err);
      return await start(words, folder);
    };
    const small = ["--patients", "2", "--slices", "12", "--size", "48"];
    const made = await go("phantom", "--dicom", "--out", "near/a b/ct", ...small);
    assert.equal(made.code, 0, made.err);
    const prepared = await go("prepare", "--dicom=far/a b/ct", "--out", "new/made");
    assert.equal(prepared.code, 0, prepared.err);
    assert.ok(Deno.statSync(join(folder, "new/made/manifest.json")).isFile);
    const elsewhere = await go("prepare", "--dicom", "far/a b/ct", "--out", "far/a b/ct/in");
    assert.equal(elsewhere.code, 2);
    assert.match(elsewhere.err, /^error: --out .* lies in --dicom/m);
    const listed = await go("audit", "--json", "x/y/audit.json");
    assert.equal(listed.code, 0, listed.err);
    assert.equal((await go("audit", "--json", "audit.json")).code, 0);
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    assert.deepEqual(left, ["audit.json", "far", "near", "new", "x"]);
  }),
);

Deno.test("what Deno denies is one line with the path and the options, never advice to allow all", () => {
  const says = (message: string) => denied(new Error(message));
  const read = says('Requires read access to "/home/x", run again with the --allow-read flag');
  assert.match(read, /^Cannot read "\/home\/x": this task may read only what its options name/);
  const net = says('Requires net access to "a:443", run again with the --allow-net flag');
  assert.match(net, /^this task may not do that: Requires net access to "a:443"$/);
  for (const line of [read, net]) assert.doesNotMatch(line, /--allow|run again/);
});

Deno.test(
  "audit --update writes its lock, and only then",
  inFolder((folder) => {
    const place = { root: ROOT, caller: folder, cache: join(folder, "cache") };
    const lock = join(ROOT, "audit.lock.json");
    assert.ok(grants(TASKS.audit, ["--update"], place).writes.includes(lock));
    assert.ok(!grants(TASKS.audit, ["--check"], place).writes.includes(lock));
  }),
);

Deno.test(
  "fmt, lint and check leave folders alone that are not the project's",
  inFolder(async (folder) => {
    const put = async (path: string, text: string) => {
      await Deno.mkdir(join(folder, path, ".."), { recursive: true });
      await Deno.writeTextFile(join(folder, path), text);
    };
    const config = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
    await put("deno.json", JSON.stringify({ ...config, imports: {}, lock: false }));
    for (const name of ["lib", "scripts", "tests", "examples", "kernels"]) {
      await put(`${name}/a.ts`, "export const a  = 1;\n");
    }
    await put("mod.ts", "export  const b = 1;\n");
    const users = {
      "prepared/manifest.json": '{"a":1}',
      "phantom/1-2.xml": "<a>  </a>",
      "thesis/notes.md": "*  a",
      "data/x.ts": 'var  a:number="b";debugger',
    };
    for (const [path, text] of Object.entries(users)) await put(path, text);
    for (const name of ["fmt", "lint", "check"]) {
      const { code, err } = await start(tasks[name].command.split(" ").slice(1), folder);
      assert.equal(code, 0, `${name}: ${err}`);
    }
    for (const [path, text] of Object.entries(users)) {
      assert.equal(await Deno.readTextFile(join(folder, path)), text, path);
    }
    assert.equal(await Deno.readTextFile(join(folder, "lib/a.ts")), "export const a = 1;\n");
    assert.equal(await Deno.readTextFile(join(folder, "mod.ts")), "export const b = 1;\n");
  }),
);

Deno.test("outputs that README and docs name are ignored by git", () => {
  const ignored = Deno.readTextFileSync(join(ROOT, ".gitignore")).split("\n");
  const pages = ["README.md"].concat(
    [...Deno.readDirSync(join(ROOT, "docs"))].filter(({ name }) => name.endsWith(".md"))
      .map(({ name }) => `docs/${name}`),
  );
  let found = 0;
  for (const page of pages) {
    const text = Deno.readTextFileSync(join(ROOT, page));
    for (const [, path] of text.matchAll(/--(?:out|build|json|html) ([a-z][\w./-]*)/g)) {
      found++;
      const [top, ...rest] = path.split("/");
      assert.ok(ignored.includes(rest.length || !top.includes(".") ? `/${top}/` : `/${top}`), path);
    }
  }
  assert.ok(found > 10);
});

Deno.test("docs/permissions.md has every task, and every option of the table", () => {
  const page = Deno.readTextFileSync(join(ROOT, "docs/permissions.md"));
  const lines = page.split("\n").filter((line) => line.startsWith("| "));
  for (const name of Object.keys(tasks)) {
    const line = lines.find((l) => l.split("|")[1].includes(`\`${name}\``));
    assert.ok(line, `${name} is missing`);
    if (ESCAPES.includes(name)) assert.match(line, /full escape/, name);
    if (/ as `train` /.test(line)) continue;
    const { reads = "", writes = "" } = TASKS[name] ?? {};
    for (const option of `${reads} ${writes}`.split(" ").filter(Boolean)) {
      assert.ok(line.includes(`\`${option.split(/=|\.\.\./)[0]}\``), `${name}: ${option}`);
    }
  }
});

Deno.test("the nearest of several names; none where all are far", () => {
  const names = ["train", "sample", "samplers", "share", "prepare"];
  for (
    const [word, expected] of [
      ["trian", "train"],
      ["trane", "train"],
      ["Sample", "sample"],
      ["samplrs", "samplers"],
      ["prepair", "prepare"],
      ["xylophone", undefined],
      ["", undefined],
    ]
  ) {
    assert.equal(closest(word!, names), expected, word);
  }
});

Deno.test("run.ps1 gets the same words as JSON, and asks for the same Deno as run", async () => {
  const args = ["train", "--out", "it's", "--steps", "3"];
  const { words } = await launch(ROOT, ...args);
  const cache = words.find((w) => w.startsWith("--allow-write="))!.match(/([^,]+)\/tune/)![1];
  const { out } = await start(
    [
      ...["run", "--no-config", "--no-lock", "--allow-read", join(ROOT, "scripts/launch.ts")],
      ...["--json", ROOT, cache, ...args],
    ],
    Deno.cwd(),
  );
  assert.deepEqual(JSON.parse(out), words);
  const [sh, ps] = ["run", "run.ps1"].map((name) => Deno.readTextFileSync(join(ROOT, name)));
  assert.ok(ps.includes(`$Pinned = "${sh.match(/DENO_PINNED=(\S+)/)![1]}"`));
  assert.ok(ps.includes(`$MinimumMinor = ${sh.match(/DENO_MINIMUM_MINOR=(\d+)/)![1]} `));
});
