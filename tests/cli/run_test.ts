/** The wrapper script `run`, with stubs on PATH for whatever would change the system. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const CONFIG = join(REPOSITORY, "deno.json");
/** What the wrapper needs of the project. */
const TREE = [
  ...["run", "deno.json", "deno.lock", "scripts/launch.ts", "lib/errors.ts"],
  ...["lib/cli/closest.ts", "lib/cli/folders.ts", "lib/cli/tasks.ts"],
];
/** What a stub leaves to the real one: to find out what a command line comes to. */
const LAUNCH = `case "$*" in
  *scripts/launch.ts*) exec '${Deno.execPath()}' "$@" ;;
  "install "*) [ ! -x "$(dirname "$0")/install" ] || exec "$(dirname "$0")/install"; exit ;;
esac`;
const STUB_DENO = `[ "$1" = --version ] && { echo "deno 2.9.6 (stub)"; exit; }
printf '<%s>' "$0" "$@"`;
const OLD_DENO = `[ "$1" = --version ] && echo "deno 1.46.0 (stub)"`;

/** A folder with stub commands, which come before the system's; `home` and `root` are empty. */
class Machine {
  readonly dir = Deno.makeTempDirSync({ prefix: "run test " }); // with spaces, on purpose
  readonly home = join(this.dir, "home");
  readonly root = join(this.dir, "root");

  constructor(stubs: Record<string, string>) {
    for (const folder of [this.home, this.root, join(this.dir, "bin")]) Deno.mkdirSync(folder);
    for (const path of TREE) this.write(`tree/${path}`, Deno.readTextFileSync(REPOSITORY + path));
    for (const [name, body] of Object.entries({ uname: uname("x86_64"), ...stubs })) {
      this.write(`bin/${name}`, `#!/bin/sh\n${name === "deno" ? LAUNCH : ""}\n${body}\n`);
    }
  }

  write(path: string, text: string): void {
    const full = join(this.dir, path);
    Deno.mkdirSync(join(full, ".."), { recursive: true });
    Deno.writeTextFileSync(full, text, { mode: 0o755 });
  }

  withDriver(): this {
    this.write("root/usr/share/vulkan/icd.d/lvp.json", "{}");
    this.write("root/usr/lib/x86_64-linux-gnu/libvulkan.so.1", "");
    return this;
  }

  async run(args: string[], env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: [join(this.dir, "tree/run"), ...args],
      cwd: this.dir,
      clearEnv: true,
      env: {
        PATH: `${join(this.dir, "bin")}:/usr/bin:/bin`,
        HOME: this.home,
        RUN_SYSROOT: this.root,
        ...env,
      },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, out: text(stdout), err: text(stderr) };
  }

  log(): string[] {
    try {
      return Deno.readTextFileSync(join(this.dir, "log")).trim().split("\n");
    } catch {
      return [];
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

const uname = (machine: string) =>
  `case "$1" in -s) echo Linux ;; -m) echo ${machine} ;; *) echo Linux ${machine} ;; esac`;

/** Writes its arguments to the machine's log. */
const logged = (name: string) => `echo "${name} $*" >>"$(dirname "$0")/../log"`;

/** An npm that finds only the package given, and puts \`body\` there as Deno. */
const npm = (packageName: string, body: string) =>
  `${logged("npm")}
while [ $# -gt 0 ]; do
  case $1 in --prefix) prefix=$2; shift ;; @deno/*) package=$1 ;; esac
  shift
done
[ "$package" = "${packageName}@2.9.6" ] || { echo "no such package: $package" >&2; exit 1; }
mkdir -p "$prefix/node_modules/${packageName}"
cat >"$prefix/node_modules/${packageName}/deno" <<'END'
#!/bin/sh
${LAUNCH}
${body}
END`;

Deno.test("run starts the task's script itself, in the caller's folder, with all arguments", async () => {
  using machine = new Machine({ deno: `${STUB_DENO}; pwd` }).withDriver();
  const { code, out, err } = await machine.run(["train", "--out", "a b", "*", "it's"]);
  assert.equal(code, 0, err);
  assert.equal(err, "");
  const [call, folder] = out.split(/(?<=>)(?=\/)/);
  assert.match(call, /\/bin\/deno><run><--quiet><--no-prompt><--cached-only><--frozen><--config>/);
  assert.ok(call.endsWith(`/tree/scripts/train.ts><--out><a b><*><it's>`), call);
  assert.ok(call.includes(`<--allow-write=${machine.dir}/a b,`), call);
  assert.equal(folder.trim(), Deno.realPathSync(machine.dir));
});

Deno.test("run installs once, and again only when what is asked for has changed", async () => {
  using machine = new Machine({ deno: STUB_DENO, install: logged("install") }).withDriver();
  const stamp = "tree/node_modules/.deno/installed.lock";
  machine.write("tree/node_modules/.deno/x", "");
  for (let i = 0; i < 2; i++) assert.equal((await machine.run(["train"])).code, 0);
  assert.equal(machine.log().length, 1);
  machine.write("tree/deno.json", Deno.readTextFileSync(CONFIG) + "\n");
  assert.equal((await machine.run(["train"])).code, 0);
  assert.equal(machine.log().length, 2);
  for (const args of [[], ["--help"], ["fmt", "--help"]]) await machine.run(args);
  assert.equal(machine.log().length, 2);
  assert.ok(Deno.statSync(join(machine.dir, stamp)).isFile);
});

Deno.test("run notices an integrity in deno.lock that was changed since the packages came", async () => {
  using machine = new Machine({ deno: STUB_DENO }).withDriver();
  machine.write("tree/node_modules/.deno/x", "");
  assert.equal((await machine.run(["train"])).code, 0);
  const lock = Deno.readTextFileSync(join(REPOSITORY, "deno.lock"));
  const damaged = lock.replace(/("commander@[^"]*": \{\s*"integrity": "sha512-)..../, "$1AAAA");
  assert.notEqual(damaged, lock);
  machine.write("tree/deno.lock", damaged);
  const { code, out, err } = await machine.run(["train"]);
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /^error: deno\.lock has another integrity for commander@[\d.]+ than when/);
});

for (
  const [title, says, expected] of [
    [
      "a package that is not what deno.lock says",
      "error: Failed caching\n    Tarball checksum did not match what was provided by npm registry for a@1.2.\n\n    Expected: x",
      /^error: A package is not what deno\.lock says: a@1\.2\n/,
    ],
    [
      "a deno.json that asks for other packages than deno.lock",
      "error: The lockfile is out of date. Run `deno install --frozen=false`\n 1 | - a",
      /^error: deno\.json asks for other packages than deno\.lock/,
    ],
    [
      "no network before the first install",
      "Download https://r/a\nerror: error sending request for url (https://r/a)\n\nStack backtrace:\n   0: <unknown>",
      /^error: Cannot get this program's packages .*\n {2}error: error sending request for url/,
    ],
  ] as const
) {
  Deno.test(`run says in a few plain lines: ${title}`, async () => {
    const install = `cat <<'SAID' >&2\n${says}\nSAID\nexit 1`;
    using machine = new Machine({ deno: STUB_DENO, install }).withDriver();
    const { code, out, err } = await machine.run(["train"]);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(err, expected);
    assert.doesNotMatch(err, /backtrace|<unknown>|Download/);
    assert.ok(err.trim().split("\n").length <= 3, err);
  });
}

Deno.test("run refuses a misspelt task with its neighbour's name, and nothing else", async () => {
  using machine = new Machine({ deno: STUB_DENO });
  const near = await machine.run(["trian"]);
  assert.deepEqual([near.code, near.out], [2, ""]);
  assert.equal(near.err, 'error: there is no task "trian": did you mean train?\n');
  const far = await machine.run(["xylophone"]);
  assert.equal(far.err, 'error: there is no task "xylophone"; ./run lists them\n');
});

Deno.test("run asks for no colours where its output goes to a pipe", async () => {
  const deno = `[ "$1" = --version ] && { echo "deno 2.9.6 (stub)"; exit; }
printf '<%s>' "\${NO_COLOR-unset}"`;
  using machine = new Machine({ deno }).withDriver();
  assert.equal((await machine.run(["train"])).out, "<1>");
});

Deno.test("run asks Mesa for vectors of 512 bits where they were measured to be faster", async () => {
  const deno = `[ "$1" = --version ] && { echo "deno 2.9.6 (stub)"; exit; }
printf '<%s>' "\${LP_NATIVE_VECTOR_WIDTH-unset}" "\${MESA_SHADER_CACHE_DIR-}"
[ -d "\${MESA_SHADER_CACHE_DIR-/}" ] || printf ' is missing'`;
  const AVX512 = "fpu avx2 avx512f avx512vl";
  for (
    const [vendor, flags, env, expected] of [
      ["AuthenticAMD", AVX512, {}, "<512><HOME/.cache/lung-ddpm-webgpu/mesa-512>"],
      ["AuthenticAMD", AVX512, { LP_NATIVE_VECTOR_WIDTH: "128" }, "<128><>"],
      ["AuthenticAMD", AVX512, { MESA_SHADER_CACHE_DIR: "/tmp" }, "<512></tmp>"],
      ["AuthenticAMD", "fpu avx2", {}, "<unset><>"],
      ["AuthenticAMD", "fpu avx2 avx512_fp16", {}, "<unset><>"],
      ["GenuineIntel", AVX512, {}, "<unset><>"],
      ["GenuineIntel", `${AVX512} avx512_fp16`, {}, "<512><HOME/.cache/lung-ddpm-webgpu/mesa-512>"],
    ] as const
  ) {
    using machine = new Machine({ deno }).withDriver();
    machine.write("root/proc/cpuinfo", `vendor_id\t: ${vendor}\nflags\t\t: ${flags}\n`);
    const { out, err } = await machine.run(["train"], env);
    assert.equal(out, expected.replace("HOME", machine.home), err);
  }
  using other = new Machine({ deno }).withDriver(); // no /proc at all
  assert.equal((await other.run(["train"])).out, "<unset><>");
});

for (
  const [title, name, expected, own] of [
    [
      "asks glibc for huge pages",
      "GLIBC_TUNABLES",
      "glibc.malloc.hugetlb=1",
      "glibc.malloc.check=3",
    ],
    ["keeps wgpu from loading OpenGL", "DENO_WEBGPU_BACKEND", "vulkan,metal,dx12", "gl"],
  ]
) {
  Deno.test(`run ${title}, unless something is asked for already`, async () => {
    const deno = `[ "$1" = --version ] && { echo "deno 2.9.6 (stub)"; exit; }
printf '<%s>' "$${name}"`;
    for (const asked of [undefined, own, ""]) {
      using machine = new Machine({ deno }).withDriver();
      const env: Record<string, string> = asked === undefined ? {} : { [name]: asked };
      const { out, err } = await machine.run(["train"], env);
      assert.equal(out, `<${asked ?? expected}>`, err);
    }
  });
}

Deno.test("run asks Mesa for two threads a processor, up to eight processors", async () => {
  const deno = `[ "$1" = --version ] && { echo "deno 2.9.6 (stub)"; exit; }
printf '<%s>' "\${LP_NUM_THREADS-unset}"`;
  for (
    const [nproc, env, expected] of [
      ["echo 2", {}, "<4>"],
      ["echo 8", {}, "<16>"],
      ["echo 2", { LP_NUM_THREADS: "3" }, "<3>"],
      ["echo 1", {}, "<unset>"],
      ["echo 16", {}, "<unset>"],
      ["exit 1", {}, "<unset>"],
    ] as const
  ) {
    using machine = new Machine({ deno, nproc }).withDriver();
    const { out, err } = await machine.run(["train"], env);
    assert.equal(out, expected, `${nproc}: ${err}`);
  }
});

Deno.test("run takes Deno from ~/.deno/bin when that on PATH is too old", async () => {
  using machine = new Machine({ deno: OLD_DENO }).withDriver();
  machine.write("home/.deno/bin/deno", `#!/bin/sh\n${LAUNCH}\n${STUB_DENO}\n`);
  const { out, err } = await machine.run(["train"]);
  assert.ok(out.startsWith(`<${machine.home}/.deno/bin/deno>`), out + err);
});

for (
  const [arch, name] of [["x86_64", "@deno/linux-x64-glibc"], [
    "aarch64",
    "@deno/linux-arm64-glibc",
  ]]
) {
  Deno.test(`run gets Deno through npm once, on ${arch}`, async () => {
    const stubs = { deno: OLD_DENO, npm: npm(name, STUB_DENO), uname: uname(arch) };
    using machine = new Machine(stubs);
    const where = `${machine.home}/.cache/lung-ddpm-webgpu/deno-2.9.6/deno`;
    for (let call = 0; call < 2; call++) {
      const { code, out, err } = await machine.run(["lint"]);
      assert.equal(code, 0, err);
      assert.ok(out.startsWith(`<${where}>`), out);
    }
    assert.equal(machine.log().length, 1, "the second call must use the first one's download");
  });
}

Deno.test("run says how to get Deno when npm and pip cannot, and leaves nothing behind", async () => {
  const npmFails = "echo 'network is down' >&2; exit 1";
  using machine = new Machine({ deno: OLD_DENO, npm: npmFails, python3: "exit 1" });
  const { code, err } = await machine.run(["lint"]);
  assert.equal(code, 2);
  assert.match(err, /network is down/);
  assert.match(err, /error: Cannot get Deno 2\.9\.6/);
  assert.match(err, /https:\/\/docs\.deno\.com/);
  assert.deepEqual([...Deno.readDirSync(`${machine.home}/.cache/lung-ddpm-webgpu`)], []);
});

Deno.test("run where there is neither npm nor pip says what to do, and nothing else", async () => {
  const none = "exit 127";
  using machine = new Machine({ deno: OLD_DENO, npm: none, python3: none });
  const { code, err } = await machine.run(["lint"]);
  const lines = err.trim().split("\n");
  assert.equal(code, 2);
  assert.match(lines[1], /^error: Cannot get Deno 2\.9\.6: neither npm nor pip/, err);
  assert.match(lines.at(-1)!, /\.\/run bundle \(docs\/offline\.md\)/);
  assert.equal(lines.length, 5, err);
});

Deno.test("run does not keep a downloaded Deno that does not start", async () => {
  const stubs = {
    deno: OLD_DENO,
    npm: npm("@deno/linux-x64-glibc", "exit 127"),
    python3: "exit 1",
  };
  using machine = new Machine(stubs);
  const { code, err } = await machine.run(["lint"]);
  assert.equal(code, 2);
  assert.match(err, /does not start on this system/);
  assert.deepEqual([...Deno.readDirSync(`${machine.home}/.cache/lung-ddpm-webgpu`)], []);
});

Deno.test("run as root installs Mesa's driver where there is none, quietly", async () => {
  const aptGet = `${logged("apt-get")}\necho "Reading package lists..."`;
  using machine = new Machine({ deno: STUB_DENO, id: "echo 0", "apt-get": aptGet });
  const { code, out, err } = await machine.run(["train"]);
  assert.equal(code, 0, err);
  assert.match(out, /scripts\/train\.ts>$/);
  assert.doesNotMatch(err, /Reading package lists/);
  const [update, install] = machine.log();
  assert.equal(update, "apt-get update");
  assert.match(install, /^apt-get install -y .*mesa-vulkan-drivers/);
});

Deno.test("run shows what apt-get said when it fails, and exits with 3", async () => {
  const aptGet = `${logged("apt-get")}\necho "E: no network" >&2; exit 100`;
  using machine = new Machine({ deno: STUB_DENO, id: "echo 0", "apt-get": aptGet });
  const { code, out, err } = await machine.run(["train"]);
  assert.equal(code, 3);
  assert.equal(out, "");
  assert.match(err, /E: no network/);
  assert.match(err, /apt-get install -y mesa-vulkan-drivers/);
});

Deno.test("run without root prints the one command, and exits with 3", async () => {
  using machine = new Machine({ deno: STUB_DENO, id: "echo 1000", "apt-get": logged("apt-get") });
  const { code, err } = await machine.run(["sample"]);
  assert.equal(code, 3);
  assert.match(err, /sudo apt-get install -y mesa-vulkan-drivers/);
  assert.deepEqual(machine.log(), []);
});

Deno.test("run needs both a driver and the loader", async () => {
  using machine = new Machine({ deno: STUB_DENO, id: "echo 1000", "apt-get": "exit 1" });
  machine.write("root/etc/vulkan/icd.d/gpu.json", "{}");
  assert.equal((await machine.run(["train"])).code, 3);
  machine.write("root/usr/lib64/libvulkan.so.1", "");
  assert.equal((await machine.run(["train"])).code, 0);
});

Deno.test("run looks for no driver for help, format, lint and type checks", async () => {
  using machine = new Machine({ deno: STUB_DENO, id: "echo 0", "apt-get": logged("apt-get") });
  for (const args of [["train", "--help"], ["fmt"], ["lint"], ["check"]]) {
    assert.equal((await machine.run(args)).code, 0);
  }
  assert.deepEqual(machine.log(), []);
});

Deno.test("run gives Mesa a private XDG_RUNTIME_DIR, and keeps the caller's", async () => {
  const stub = `[ "$1" = --version ] && { echo "deno 2.9.6"; exit; }
printf '%s %s' "$XDG_RUNTIME_DIR" "$(ls -ld "$XDG_RUNTIME_DIR" | cut -c1-10)"`;
  using machine = new Machine({ deno: stub }).withDriver();
  const { out } = await machine.run(["train"]);
  assert.equal(out, `${machine.home}/.cache/lung-ddpm-webgpu/runtime drwx------`);
  const kept = await machine.run(["train"], { XDG_RUNTIME_DIR: machine.root });
  assert.ok(kept.out.startsWith(`${machine.root} `));
});

Deno.test("run without arguments lists every task with a line each", async () => {
  const { code, stdout } = await new Deno.Command("sh", { args: [join(REPOSITORY, "run")] })
    .output();
  assert.equal(code, 0);
  const lines = new TextDecoder().decode(stdout).split("\n");
  const { tasks } = JSON.parse(Deno.readTextFileSync(CONFIG)) as {
    tasks: Record<string, { description?: string }>;
  };
  for (const [name, { description }] of Object.entries(tasks)) {
    assert.ok(description, `task ${name} has no description in deno.json`);
    assert.ok(
      lines.some((line) => line.startsWith(`  ${name} `) && line.endsWith(description)),
      `no line for task ${name}`,
    );
  }
});

Deno.test("run from a bundle: its Deno, and its driver where the system has none", async () => {
  using machine = new Machine({ deno: OLD_DENO });
  const show =
    `${STUB_DENO}; echo; echo "$VK_DRIVER_FILES $LD_LIBRARY_PATH"; [ "$DENO_NO_UPDATE_CHECK" = 1 ] || exit 9`;
  machine.write("tree/offline/deno", `#!/bin/sh\n${LAUNCH}\n${show}\n`);
  machine.write("tree/offline/vulkan/lvp_icd.json", "{}");
  const offline = join(machine.dir, "tree/offline");
  const first = await machine.run(["train"]);
  assert.equal(first.code, 0, first.err);
  assert.ok(first.out.startsWith(`<${offline}/deno>`), first.out);
  assert.match(first.out, new RegExp(`\n${offline}/vulkan/lvp_icd.json ${offline}/vulkan\n$`));
  machine.withDriver();
  assert.match((await machine.run(["train"])).out, /\n \n$/, "the system's own driver is taken");
});

Deno.test("run without a network: one line that says how it works without", async () => {
  const npmFails = "echo 'npm error code EAI_AGAIN' >&2; exit 1";
  const pipFails = "[ $# -lt 4 ] || { echo 'Temporary failure in name resolution' >&2; exit 1; }";
  const aptFails = "echo 'Temporary failure resolving deb.debian.org' >&2; exit 100";
  const machines = [
    [new Machine({ deno: OLD_DENO, npm: npmFails, python3: "exit 1" }), 2],
    [new Machine({ deno: OLD_DENO, npm: "exit 1", python3: pipFails }), 2],
    [new Machine({ deno: STUB_DENO, id: "echo 0", "apt-get": aptFails }), 3],
    [new Machine({ deno: STUB_DENO, install: "echo 'dns error' >&2; exit 1" }).withDriver(), 2],
  ] as const;
  for (const [machine, expected] of machines) {
    const { code, err } = await machine.run(["train"]);
    const lines = err.trim().split("\n");
    assert.equal(code, expected, err);
    assert.match(lines.at(-1)!, /^error: .*no network.*\.\/run bundle .*docs\/offline\.md/);
    assert.ok(lines.length <= 2, err); // what is tried, and how it ended
    machine[Symbol.dispose]();
  }
});
