/** For `deno task fuzz`, in a process of its own: `write FILE` makes a crafted file, `read FILE` reads it. */

import { basename } from "node:path";
import process from "node:process";
import { CRAFTED } from "../lib/data/fuzz/crafted/all.ts";
import { writeCrafted } from "../lib/data/fuzz/crafted/crafted.ts";
import { readCrafted } from "../lib/data/fuzz/crafted/read.ts";

const [action, path] = Deno.args;
const crafted = CRAFTED.find(({ file }) => file === basename(path))!;
if (action === "write") writeCrafted(crafted, path);
else {
  const outcome = await readCrafted(path, crafted.mayBeRead);
  const mebibytes = process.resourceUsage().maxRSS / 1024;
  console.log(JSON.stringify({ ...outcome, mebibytes }));
}
