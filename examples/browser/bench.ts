/** Times the kernels on the browser's GPU, as `./run bench submit` does, for a file that can be sent. */

/// <reference lib="dom" />

import { machineOf } from "../../lib/bench/machine.ts";
import { MODEL_NAMES, namedModel } from "../../lib/bench/models.ts";
import { rowTable, stepTable } from "../../lib/bench/output.ts";
import type { BenchResult } from "../../lib/bench/result.ts";
import { submission } from "../../lib/bench/submit.ts";
import type { Table } from "../../lib/bench/tables.ts";
import { type Gpu, openGpu } from "../../lib/gpu/device.ts";
import { element, table } from "./table.ts";
import { save } from "./view.ts";

const $ = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const button = (id: string) => $<HTMLButtonElement>(id);

/** The browser's engine with its main version, of all that it says of itself. */
function browserName(): Record<string, string> {
  const found = /\b(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(navigator.userAgent);
  const [, name = "browser", version = "unknown"] = found ?? [];
  return { [name === "Version" ? "Safari" : name === "Edg" ? "Edge" : name]: version };
}

function shown({ title, head, rows, note = "" }: Table): HTMLElement[] {
  return [element("h2", title), table(head, rows), element("p", note)];
}

/** Lets the page be drawn while kernels wait for each other. */
function progress(what: string, part: number): void {
  $<HTMLProgressElement>("progress").value = part;
  $("status").textContent = what;
}

async function run(gpu: Gpu): Promise<void> {
  const name = MODEL_NAMES.find((n) => n === $<HTMLSelectElement>("model").value)!;
  const result: BenchResult = await submission(gpu, {
    seconds: 60 * Number($<HTMLInputElement>("minutes").value),
    about: {
      program: "@lung-ddpm/webgpu in a browser",
      machine: await machineOf(gpu, { runtime: browserName(), processor: "" }),
    },
    plan: { device: gpu.profile },
    model: namedModel(name),
    kinds: $<HTMLSelectElement>("step").value === "train" ? ["train", "sample"] : ["forward"],
    onProgress: (what, done, total) => progress(`${what}: ${done} of ${total}`, done / total),
  });
  $("results").replaceChildren(...shown(stepTable(result.steps!)), ...shown(rowTable(result)));
  button("save").onclick = () =>
    save("bench.json", new Blob([JSON.stringify(result, null, 1) + "\n"]));
  button("save").hidden = false;
  progress(`${result.rows.length} kernels in ${result.seconds.toFixed(0)} s`, 1);
}

function tell(error: unknown): void {
  $("message").hidden = false;
  $("message").textContent = (error as Error).message;
}

openGpu().then((gpu) => {
  $("adapter").textContent = gpu.name;
  button("run").disabled = false;
  $("form").addEventListener("submit", (event) => {
    event.preventDefault();
    button("run").disabled = true;
    run(gpu).catch(tell).finally(() => button("run").disabled = false);
  });
}).catch(tell);
