/** Fetching a weights file, and only that: named hosts, known size, known hash. */

import { createHash } from "node:crypto";
import { dirname } from "node:path";
import { InputError } from "../errors.ts";
import { writeFileAtomic } from "../io/atomic.ts";
import type { WeightsFile } from "./weights.ts";

/** The hosts of the files and those they redirect to; the task's --allow-net names the same. */
export const WEIGHTS_HOSTS: readonly string[] = [
  "github.com",
  "objects.githubusercontent.com",
  "release-assets.githubusercontent.com",
  "raw.githubusercontent.com",
  "download.pytorch.org",
];

type Fetch = (url: string, init: { redirect: "manual" }) => Promise<Response>;

/**
 * Downloads `entry` to `path`, which is written only once size and hash are right. Reads no file.
 *
 * @throws InputError naming the file for a host or protocol not allowed, an answer other than 200,
 *   a size or a hash that is not the expected one.
 */
export async function downloadWeights(
  entry: WeightsFile,
  path: string,
  progress: (bytes: number) => void = () => {},
  fetch_: Fetch = fetch,
): Promise<void> {
  const response = await follow(entry, fetch_);
  if (!response.body) throw failed(entry, "the answer is empty");
  await save(entry, response.body, path, progress, writePlain);
}

/** Copies a file the user has to `path`, under the same checks. */
export async function copyWeights(
  entry: WeightsFile,
  from: string,
  path: string,
  progress: (bytes: number) => void = () => {},
): Promise<void> {
  await save(entry, (await Deno.open(from)).readable, path, progress, writeFileAtomic);
}

function failed(entry: WeightsFile, why: string): InputError {
  return new InputError(`Cannot get ${entry.file}: ${why}`);
}

/** Redirects are followed by hand, so that each hop is checked. */
async function follow(entry: WeightsFile, fetch_: Fetch): Promise<Response> {
  let url = new URL(entry.url);
  for (let hop = 0; hop < 6; hop++) {
    if (url.protocol !== "https:" || !WEIGHTS_HOSTS.includes(url.host)) {
      throw failed(entry, `${url.protocol}//${url.host} is not a host it may come from`);
    }
    let response: Response;
    try {
      response = await fetch_(url.href, { redirect: "manual" });
    } catch (error) {
      throw failed(
        entry,
        `${error instanceof Error ? error.message : error}. Without a network: download it ` +
          `elsewhere from ${entry.url} and pass --from FILE`,
      );
    }
    if (response.status === 200) return response;
    await response.body?.cancel();
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || !location) {
      throw failed(entry, `${url.host} answered ${response.status}`);
    }
    url = new URL(location, url);
  }
  throw failed(entry, "too many redirects");
}

/** Gathers the file in memory, checks it there, and only then lets `write` touch the disk. */
async function save(
  entry: WeightsFile,
  body: ReadableStream<Uint8Array>,
  path: string,
  progress: (bytes: number) => void,
  write: (path: string, data: Uint8Array) => Promise<void>,
): Promise<void> {
  const data = new Uint8Array(entry.bytes);
  let bytes = 0;
  for await (const chunk of body) {
    if (bytes + chunk.length > entry.bytes) {
      throw failed(entry, `more than its ${entry.bytes} bytes came`);
    }
    data.set(chunk, bytes);
    progress(bytes += chunk.length);
  }
  if (bytes !== entry.bytes) throw failed(entry, `${bytes} bytes came, it has ${entry.bytes}`);
  const actual = createHash("sha256").update(data).digest("hex");
  if (actual !== entry.sha256) {
    throw failed(entry, `SHA-256 ${actual}, it has ${entry.sha256}; nothing was kept`);
  }
  await write(path, data);
}

/**
 * Without permission to read, which renaming takes: a process that may reach the network has none. A
 * file cut off by a kill fails its hash and is fetched again.
 */
async function writePlain(path: string, data: Uint8Array): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  await Deno.writeFile(path, data);
}
