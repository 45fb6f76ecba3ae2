/**
 * A folder of image and mask pairs as a data set, for those who have pictures and no CT:
 * `NAME.png` or `NAME.npy` with `NAME_mask.png` or `.npy` (lungs) and, perhaps, `NAME_nodule.…`;
 * or folders `images/`, `masks/` and `nodules/` with the same names.
 */

import { join } from "node:path";
import { InputError } from "../errors.ts";
import { LIMITS } from "../io/limits.ts";
import { readNpyPlane } from "../io/npy_file.ts";
import { decodePng } from "../io/png.ts";
import { readFileBounded } from "../io/read.ts";
import { linkNotes, walk } from "../io/walk.ts";
import {
  type Dataset,
  type LoadedSlice,
  MIN_NODULE_PIXELS,
  requireSide,
  type SliceRecord,
} from "./dataset.ts";
import { requireHu } from "./hu_range.ts";
import { grayPixels, maskPixels } from "./colour_mask.ts";
import { binaryMask, lungMask } from "./mask_values.ts";
import type { LoadChecks } from "./npy_dataset.ts";
import { type Split, splitRecords, SPLITS } from "./splits.ts";
import { type HuWindow, LUNG_WINDOW } from "./window.ts";

const ENDING = /\.(npy|png)$/i;
type Kind = "image" | "mask" | "nodule";

interface Plane {
  data: Float32Array;
  height: number;
  width: number;
  /** Largest value the file's kind can hold, or null for HU. */
  full: number | null;
}

/**
 * Opens a folder of pairs. `.npy` images are HU. PNG images, of 8 or 16 bits, are the window's gray:
 * black its lower end, white its upper, so that training sees them as they look. The label is 1
 * where the nodule mask has at least {@link MIN_NODULE_PIXELS} pixels. Patients and
 * splits are as {@link splitRecords} has them.
 * @throws InputError naming the file or folder and the reason.
 */
export async function openPairs(
  dir: string,
  window: HuWindow = LUNG_WINDOW,
  { checkHu = false }: LoadChecks = {},
): Promise<Dataset> {
  const files = new Map<string, Partial<Record<Kind, string>>>();
  const links: string[] = [];
  for (const path of walk(dir, { onSkippedLink: (path) => links.push(path) })) {
    if (!ENDING.test(path)) continue;
    const { name, kind } = classify(path);
    const entry = files.get(name) ?? {};
    const other = entry[kind];
    if (other) throw new InputError(`Cannot open "${dir}": both "${other}" and "${path}"`);
    files.set(name, { ...entry, [kind]: path });
  }
  const records: SliceRecord[] = [];
  let withoutNodule = 0;
  for (const [name, { image, mask, nodule }] of files) {
    if (!image) {
      const lonely = mask ?? nodule;
      throw new InputError(`Cannot use "${lonely}": there is no image "${name}" to it`);
    }
    if (!mask) throw new InputError(`Cannot use "${image}": its lung mask is missing`);
    if (!nodule) withoutNodule++;
    records.push({
      id: name,
      patient: name.split("_")[0],
      label: nodule ? await labelOf(nodule) : 0,
      load: () => loadPair(image, mask, nodule, window, checkHu),
    });
  }
  if (records.length === 0) {
    throw new InputError(
      `Cannot open "${dir}": neither {patient}_slice_{n}.npy files nor pairs of images and masks in it`,
    );
  }
  records.sort((a, b) => a.id < b.id ? -1 : 1);
  const notes = linkNotes(links);
  if (withoutNodule > 0) {
    notes.push(
      `${withoutNodule} of ${records.length} slices have no nodule mask: taken as without`,
    );
  }
  const splitFiles = new Map<Split, string>();
  for (const split of SPLITS) {
    const path = join(dir, `${split}_patients.txt`);
    if (await Deno.stat(path).then(() => true, () => false)) splitFiles.set(split, path);
  }
  return { ...await splitRecords(records, splitFiles, notes), notes };
}

function classify(path: string): { name: string; kind: Kind } {
  const parts = path.replace(ENDING, "").split("/");
  const name = parts.at(-1)!, folder = parts.at(-2) ?? "";
  if (/^masks?$|^lungs?$/i.test(folder)) return { name: name.replace(/_mask$/i, ""), kind: "mask" };
  if (/^nodules?$/i.test(folder)) return { name: name.replace(/_nodule$/i, ""), kind: "nodule" };
  const match = /^(.+)_(mask|lung|nodule)$/i.exec(name);
  if (!match) return { name, kind: "image" };
  return { name: match[1], kind: match[2].toLowerCase() === "nodule" ? "nodule" : "mask" };
}

async function readPlane(path: string, kind: "image" | "mask"): Promise<Plane> {
  if (path.toLowerCase().endsWith(".png")) {
    const bytes = await readFileBounded(path, LIMITS.image.file);
    const image = decodePng(bytes, path), { width, height } = image;
    const data = Float32Array.from(
      kind === "mask" ? maskPixels(image, path) : grayPixels(image, path),
    );
    return { data, height, width, full: image.data instanceof Uint16Array ? 65535 : 255 };
  }
  const { shape: [height, width], data } = await readNpyPlane(path, 2);
  const plane = new Float32Array(data.length);
  for (let i = 0; i < plane.length; i++) plane[i] = Number(data[i]);
  const bad = plane.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new InputError(`Cannot use "${path}": value ${plane[bad]} at pixel ${bad}`);
  return { data: plane, height, width, full: null };
}

async function labelOf(path: string): Promise<0 | 1> {
  const pixels = binaryMask(await readPlane(path, "mask"), path).reduce((sum, v) => sum + v, 0);
  return pixels >= MIN_NODULE_PIXELS ? 1 : 0;
}

async function loadPair(
  imagePath: string,
  maskPath: string,
  nodulePath: string | undefined,
  window: HuWindow,
  checkHu: boolean,
): Promise<LoadedSlice> {
  const image = await readPlane(imagePath, "image");
  requireSide(image, imagePath);
  const low = window.level - window.width / 2, { full } = image;
  const ct = full === null ? image.data : image.data.map((v) => low + v / full * window.width);
  const readMask = async (path: string, accept: typeof binaryMask) => {
    const mask = await readPlane(path, "mask");
    if (mask.height !== image.height || mask.width !== image.width) {
      throw new InputError(
        `Cannot use "${path}": mask [${mask.height},${mask.width}] must have the shape of its ` +
          `image [${image.height},${image.width}]`,
      );
    }
    return accept(mask, path);
  };
  const inLung = await readMask(maskPath, lungMask);
  if (checkHu && full === null) requireHu(imagePath, ct, inLung);
  return {
    ct,
    height: image.height,
    width: image.width,
    lungMask: inLung,
    noduleMask: nodulePath ? await readMask(nodulePath, binaryMask) : new Uint8Array(ct.length),
  };
}
