/**
 * The pretrained networks that FID, KID, Inception Score and LPIPS are defined by. They are never
 * shipped: `deno task weights` fetches them, and what is not exactly the named file is refused.
 */

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { InputError } from "../errors.ts";
import { parseTorch, type TorchTensor } from "../io/torch_pickle.ts";

export type WeightsId = "inception" | "alexnet" | "lpips";

export interface WeightsFile {
  id: WeightsId;
  file: string;
  url: string;
  bytes: number;
  sha256: string;
  what: string;
}

/** Where `deno task weights` puts files and the metrics look for them, wherever they are started. */
export const WEIGHTS_FOLDER = fileURLToPath(new URL("../../out/weights", import.meta.url));
/** What to tell the user where a metric needs a file that is not there. */
export const WEIGHTS_COMMAND = "./run weights";

export const WEIGHTS: readonly WeightsFile[] = [
  {
    id: "inception",
    file: "weights-inception-2015-12-05-6726825d.pth",
    url: "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/" +
      "weights-inception-2015-12-05-6726825d.pth",
    bytes: 95_628_359,
    sha256: "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    what: "InceptionV3 of 2015-12-05, for FID, KID and Inception Score",
  },
  {
    id: "alexnet",
    file: "alexnet-owt-7be5be79.pth",
    url: "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    bytes: 244_408_911,
    sha256: "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    what: "AlexNet of torchvision, for LPIPS",
  },
  {
    id: "lpips",
    file: "lpips-alex-v0.1.pth",
    url: "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/" +
      "v0.1/alex.pth",
    bytes: 6_009,
    sha256: "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    what: "LPIPS heads, alex v0.1 (also inside the lpips and torchmetrics wheels)",
  },
];

/** SHA-256 in hex of a file, read a piece at a time. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  const file = await Deno.open(path);
  for await (const chunk of file.readable) hash.update(chunk);
  return hash.digest("hex");
}

/** Throws an InputError unless `path` is exactly the file that `entry` names. */
export async function checkWeights(path: string, entry: WeightsFile): Promise<void> {
  const { size } = await Deno.stat(path);
  if (size !== entry.bytes) {
    throw new InputError(`Refused "${path}": ${size} bytes, ${entry.file} has ${entry.bytes}`);
  }
  const actual = await fileSha256(path);
  if (actual !== entry.sha256) {
    throw new InputError(`Refused "${path}": SHA-256 ${actual}, ${entry.file} has ${entry.sha256}`);
  }
}

/**
 * The tensors of a weights file, or null where it is not there.
 *
 * @throws InputError where the file in its place is not the one expected.
 */
export async function loadWeights(
  id: WeightsId,
  folder: string = WEIGHTS_FOLDER,
): Promise<Map<string, TorchTensor> | null> {
  const entry = WEIGHTS.find((one) => one.id === id)!;
  const path = `${folder}/${entry.file}`;
  let bytes: Uint8Array;
  try {
    const { size } = await Deno.stat(path);
    if (size !== entry.bytes) {
      throw new InputError(`Refused "${path}": ${size} bytes, ${entry.file} has ${entry.bytes}`);
    }
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  // The bytes that are parsed are the bytes that were hashed.
  const actual = createHash("sha256").update(bytes).digest("hex");
  if (actual !== entry.sha256) {
    throw new InputError(`Refused "${path}": SHA-256 ${actual}, ${entry.file} has ${entry.sha256}`);
  }
  return parseTorch(bytes, path);
}
