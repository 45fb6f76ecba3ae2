/** Links of README and docs lead to files and headings that are there; commands name tasks. */

import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { walk } from "../../lib/io/walk.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const pages = [
  ...[...Deno.readDirSync(ROOT)].map(({ name }) => join(ROOT, name)),
  ...walk(join(ROOT, "docs")),
].filter((path) => path.endsWith(".md"));

/** GitHub's anchor of a heading. */
const anchor = (heading: string) =>
  heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");

const headings = (path: string) =>
  [...Deno.readTextFileSync(path).matchAll(/^#+ (.*)$/gm)].map(([, text]) => anchor(text));

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test("links in README and docs lead somewhere", () => {
  const lost: string[] = [];
  let count = 0;
  for (const page of pages) {
    const text = Deno.readTextFileSync(page);
    for (const [, target] of text.matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      count++;
      const [file, heading] = target.split("#");
      const path = file ? join(dirname(page), file) : page;
      const found = isThere(path) && (!heading || headings(path).includes(heading));
      if (!found) lost.push(`${relative(ROOT, page)}: ${target}`);
    }
  }
  assert.ok(count > 50, `${count}`);
  assert.deepEqual(lost, []);
});

Deno.test("modules and kernels that README and docs name are there", () => {
  const lost = pages.flatMap((page) =>
    [...Deno.readTextFileSync(page).matchAll(/`((?:lib|kernels|scripts|tests)\/[\w/]+\.\w+)`/g)]
      .filter(([, path]) => !isThere(join(ROOT, path)))
      .map(([, path]) => `${relative(ROOT, page)}: ${path}`)
  );
  assert.deepEqual(lost, []);
});

Deno.test("commands in README and docs name tasks", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const unknown = pages.flatMap((page) =>
    [...Deno.readTextFileSync(page).matchAll(/\.\/run ([a-z][\w:-]*)/g)]
      .filter(([, task]) => !(task in tasks))
      .map(([command]) => `${relative(ROOT, page)}: ${command}`)
  );
  assert.deepEqual(unknown, []);
});
