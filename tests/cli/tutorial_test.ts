/** docs/tutorial.md, command by command as it stands there, but small. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** What is made smaller: an option of the page, its value there, its value here. */
const SMALL: readonly [option: string, there: string, here: string][] = [
  ["--patients", "12", "8"],
  ["--slices", "40", "12"],
  ["--steps", "600", "4"],
  ["--steps", "100", "2"],
  ["--steps", "20", "2"],
  ["--count", "40", "6"],
  ["--nodules", "60", "4"],
  ["--detector-steps", "200", "4"],
  ["--seeds", "2", "1"],
  ["--percents", "50,100", "100"],
];
const MORE: Readonly<Record<string, readonly string[]>> = {
  phantom: ["--detail", "64"],
  "evaluate --run runs/tutorial": ["--count", "2", "--steps", "2", "--classifier-steps", "2"],
  "evaluate --run runs/tutorial --placement": ["--steps", "2", "--detector-steps", "4"],
};

function small(command: string, used: Set<string>): string[] {
  const words = command.split(" ");
  for (const [option, there, here] of SMALL) {
    const at = words.indexOf(option);
    if (at < 0 || words[at + 1] !== there) continue;
    words[at + 1] = here;
    used.add(`${option} ${there}`);
  }
  const more = Object.entries(MORE)
    .filter(([start]) =>
      command === start || command.startsWith(`${start} --nodules`) ||
      (start === "phantom" && command.startsWith("phantom "))
    );
  return [...words, ...more.flatMap(([, extra]) => extra)];
}

Deno.test("the tutorial's commands, in order, each to its end", async () => {
  const page = await Deno.readTextFile(join(ROOT, "docs/tutorial.md"));
  const commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap(([, block]) => block.trim().split("\n"))
    .map((line) => line.match(/^\.\/run (.*)$/)![1]);
  assert.ok(commands.length >= 9, `${commands.length}`);
  const folder = await Deno.makeTempDir({ dir: join(ROOT, "out", "tmp") });
  const deno = async (args: string[]) => {
    const options = { args, cwd: folder, env: { NO_COLOR: "1" } };
    const { code, stdout, stderr } = await new Deno.Command("deno", options).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.equal(code, 0, `${args.join(" ")}\n${out}${err}`);
    return out;
  };
  const used = new Set<string>();
  try {
    for (const command of commands) {
      const launch = ["run", "--no-config", "--no-lock", "--allow-read"];
      const script = [join(ROOT, "scripts/launch.ts"), "--json", ROOT, join(folder, "cache")];
      const words = JSON.parse(await deno([...launch, ...script, ...small(command, used)]));
      await deno(words);
    }
    assert.deepEqual(SMALL.map(([o, v]) => `${o} ${v}`).filter((v) => !used.has(v)), []);
    const made = [
      ...["prepared/manifest.json", "runs/tutorial/report.html", "synthetic/images.csv"],
      ...["evaluation.html", "placement.png", "utility.html"]
        .map((name) => `runs/tutorial/evaluation/${name}`),
      ...["runs/mixed/config.json", "tutorial-model/README.md"],
    ];
    for (const path of made) assert.ok((await Deno.stat(join(folder, path))).isFile, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
