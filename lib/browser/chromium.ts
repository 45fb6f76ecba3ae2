/**
 * A headless Chromium with its software WebGPU adapter, SwiftShader, driven by playwright-core in a
 * process of its own, which may do more than others may: start the browser, and see the environment.
 *
 * On Debian: apt-get install -y --no-install-recommends chromium
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const PLACES = ["/usr/bin", "/usr/local/bin", "/snap/bin"].flatMap((folder) =>
  ["chromium", "chromium-browser", "google-chrome"].map((name) => `${folder}/${name}`)
);

const isFile = (path: string) => {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
};

/** The browser of this machine; undefined where it has none. */
export const CHROMIUM = PLACES.find(isFile);

/** What a visit of a page does and brings back; see drive.ts. */
export interface Visit {
  readonly url: string;
  /** Run in the page before its own program. */
  readonly before?: string;
  /** In this order: fill in, click, press a key, wait for an element, save a download, pick a folder. */
  readonly steps: readonly (
    | { readonly fill: string; readonly with: string }
    | { readonly click: string }
    | { readonly press: string; readonly in: string }
    | { readonly wait: string }
    | { readonly download: string; readonly to: string }
    | { readonly folder: string; readonly from: string }
  )[];
  /** Name → selector of an element whose text is wanted. */
  readonly texts: Readonly<Record<string, string>>;
  /** Name → selector of elements to be counted. */
  readonly counts?: Readonly<Record<string, string>>;
  readonly screenshot?: string;
  /** Milliseconds that a step may take. */
  readonly patience?: number;
}

export interface Visited {
  readonly texts: Readonly<Record<string, string>>;
  readonly counts: Readonly<Record<string, number>>;
  /** Addresses asked for. */
  readonly requests: readonly string[];
  /** Errors of the page's program, and what it wrote as errors. */
  readonly errors: readonly string[];
}

/** Visits pages one after the other, each in a browser of its own. */
export async function visit(visits: readonly Visit[]): Promise<Visited[]> {
  const folder = await Deno.makeTempDir({ prefix: "chromium-" });
  const [job, result] = [join(folder, "job.json"), join(folder, "result.json")];
  await Deno.writeTextFile(job, JSON.stringify({ executable: CHROMIUM, folder, visits }));
  const steps = visits.flatMap((v) => v.steps);
  const picked = steps.flatMap((step) => "folder" in step ? [step.from] : []);
  const saved = steps.flatMap((step) => "download" in step ? [step.to] : []);
  const shots = visits.flatMap(({ screenshot }) => screenshot ?? []);
  const { code, stderr } = await new Deno.Command("deno", {
    args: [
      "run",
      "--no-prompt",
      "--no-check",
      `--allow-read=${[folder, CHROMIUM, ...picked, ...saved, ...shots].join()}`,
      `--allow-write=${[folder, ...saved, ...shots].join()}`,
      `--allow-run=${CHROMIUM}`,
      "--allow-env", // Playwright hands all of it on to the browser
      "--allow-sys=homedir,uid",
      join(ROOT, "lib/browser/drive.ts"),
      job,
      result,
    ],
    cwd: ROOT,
    env: {
      TMPDIR: folder,
      // With it, a module within Playwright does not look into /proc as it is loaded, which Deno lets
      // only programs do that may do all.
      __IS_WSL_TEST__: "1",
    },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
  const visited = JSON.parse(await Deno.readTextFile(result));
  await Deno.remove(folder, { recursive: true });
  return visited;
}

export interface Served extends AsyncDisposable {
  readonly address: string;
}

/** `deno task browser` as a user runs it, on a port that is free. */
export async function serveBrowser(...args: string[]): Promise<Served> {
  const child = new Deno.Command("deno", {
    args: ["task", "--quiet", "browser", ...args, "--port", "0"],
    cwd: ROOT,
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/http:\S+/.test(text)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`browser ended with ${(await child.status).code}`);
    text += value;
  }
  return {
    address: text.match(/http:\S+/)![0],
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await reader.cancel();
      await child.status;
    },
  };
}
