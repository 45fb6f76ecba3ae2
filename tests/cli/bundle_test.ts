/** `./run bundle`: what is packed. How `run` starts from it is in run_test.ts. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { librariesOf } from "../../lib/cli/bundle.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

Deno.test("bundle: libraries of a driver, but for those of the C library; a missing one is named", () => {
  const ldd = `\tlinux-vdso.so.1 (0x00007ffd)
\tlibLLVM-15.so.1 => /lib/x86_64-linux-gnu/libLLVM-15.so.1 (0x00007f1)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f3)
\tlibmd.so.0 => /lib/x86_64-linux-gnu/libmd.so.0 (0x00007f4)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f5)
`;
  assert.deepEqual([...librariesOf(ldd).keys()], ["libLLVM-15.so.1", "libmd.so.0"]);
  assert.throws(() => librariesOf("\tlibdrm.so.2 => not found\n"), /its library libdrm\.so\.2/);
});

Deno.test("bundle: files, modes and relative links are copied; absolute links are refused", async () => {
  const folder = await Deno.makeTempDir({ dir: join(ROOT, "out", "tmp") });
  const copy = async (to: string) => {
    const script = join(folder, "copy.ts");
    const url = JSON.stringify(new URL("../../lib/cli/bundle.ts", import.meta.url).href);
    const code = `import { copyTree } from ${url};\ncopyTree("a", ${JSON.stringify(to)});\n`;
    await Deno.writeTextFile(script, code);
    // Links need more than a folder's permission.
    const args = ["run", "--cached-only", "--no-check", "--allow-read", "--allow-write", script];
    const { success, stderr } = await new Deno.Command("deno", { args, cwd: folder }).output();
    return { success, err: new TextDecoder().decode(stderr) };
  };
  const link = (target: string, path: string) =>
    new Deno.Command("sh", { args: ["-c", 'ln -s "$0" "$1"', target, path], cwd: folder }).output();
  try {
    await Deno.mkdir(join(folder, "a/b"), { recursive: true });
    await Deno.writeTextFile(join(folder, "a/b/file"), "x", { mode: 0o755 });
    await link("b/file", "a/link");
    assert.deepEqual(await copy("c"), { success: true, err: "" });
    assert.equal(await Deno.readLink(join(folder, "c/link")), "b/file");
    assert.equal((await Deno.stat(join(folder, "c/b/file"))).mode! & 0o777, 0o755);
    await link("/etc", "a/away");
    assert.match((await copy("d")).err, /a link to \/etc cannot be packed/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
