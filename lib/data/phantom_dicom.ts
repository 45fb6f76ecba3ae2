/** The phantom as people have CT on disk: DICOM series with LIDC annotations and metadata.csv. */

import { join } from "node:path";
import { writeFileAtomic } from "../io/atomic.ts";
import { PhiloxStream } from "../random/philox.ts";
import { encodeCtFile, uidOf } from "./dicom_write/ct_file.ts";
import { encodeLidcXml, type NoduleText, type ReaderText } from "./dicom_write/lidc_file.ts";
import { outlines } from "./dicom_write/outline.ts";
import { CHARACTERISTICS, type Characteristics } from "./lidc/xml.ts";
import { components3d } from "./lung/components.ts";
import { phantomPatient } from "./phantom.ts";
import { resizeBilinear, resizeNearest } from "./resize.ts";

export interface PhantomTreeOptions {
  out: string;
  seed: number;
  patients: number;
  slices: number;
  /** Rows and columns. */
  size: number;
  /** Pixels that are rendered a row; less than `size` are enlarged. */
  detail: number;
  onSlice?: (done: number) => void;
}

/** z of the phantom's lungs that a series spans, mm from the apex. */
const TOP = -5, BOTTOM = 240;
const FIELD_MM = 350;
/** A circle of this radius is reconstructed; outside some scanners write padding. */
const CIRCLE_MM = 172;
/** Keeps these streams apart from the phantom's own. */
const STREAM_BASE = 0x7B00 * 2 ** 32;

/**
 * Writes patients as LIDC-IDRI is on disk. Every other patient has unsigned pixels, the others are
 * signed and padded with −2000 (−3024 HU) under a PixelPaddingValue of −32768, as real files are.
 * File names are shuffled. Four readers' outlines: one draws a pixel wider, one misses the nodule.
 */
export async function writePhantomTree(options: PhantomTreeOptions): Promise<void> {
  const rows = [
    "Series UID,Collection,Subject ID,Study UID,Modality,Number of Images,File Location",
  ];
  let done = 0;
  for (let patient = 0; patient < options.patients; patient++) {
    rows.push(await writePatient(options, patient, () => options.onSlice?.(++done)));
  }
  await writeFileAtomic(join(options.out, "metadata.csv"), rows.join("\r\n") + "\r\n");
}

async function writePatient(
  { out, seed, slices: count, size, detail }: PhantomTreeOptions,
  index: number,
  onSlice: () => void,
): Promise<string> {
  const patientId = `PHANTOM-${String(index + 1).padStart(4, "0")}`;
  const identity = `${seed}/${index}/${count}/${size}`;
  const studyUid = uidOf(`study ${identity}`), seriesUid = uidOf(`series ${identity}`);
  const number = String(index + 1).padStart(5, "0");
  const location = `${patientId}/01-01-2000-NA-NA-${number}/3000001.000000-NA-${number}`;
  const random = new PhiloxStream(seed, STREAM_BASE + index);
  const names = random.shuffle(Uint32Array.from({ length: count }, (_, i) => i + 1));
  const patient = phantomPatient(seed, index);
  const spacing = (BOTTOM - TOP) / count, signed = index % 2 === 1, mm = FIELD_MM / size;
  const nodules = new Uint8Array(count * size * size);
  const sops: string[] = [], zs: number[] = [];
  for (let i = 0; i < count; i++) {
    // From the feet up, as z grows.
    const below = BOTTOM - i * spacing, z = Math.round(-below * 1000) / 1000;
    const { ct, noduleMask } = enlarged(
      patient.slice(below, detail, FIELD_MM / detail),
      detail,
      size,
    );
    nodules.set(noduleMask, i * size * size);
    sops.push(uidOf(`slice ${identity}/${i}`));
    zs.push(z);
    const bytes = encodeCtFile({
      patientId,
      studyUid,
      seriesUid,
      frameOfReferenceUid: uidOf(`frame ${identity}`),
      sopInstance: sops[i],
      instanceNumber: i + 1,
      rows: size,
      columns: size,
      position: [(mm - FIELD_MM) / 2, (mm - FIELD_MM) / 2, z],
      pixelSpacing: [mm, mm],
      sliceThickness: spacing,
      pixels: stored(ct, size, signed),
      intercept: -1024,
      pixelPaddingValue: signed ? -32768 : undefined,
    });
    const name = `1-${String(names[i]).padStart(3, "0")}.dcm`;
    await writeFileAtomic(join(out, location, name), bytes);
    onSlice();
  }
  const readers = readersOf(nodules, count, size, sops, zs, random);
  await writeFileAtomic(
    join(out, location, `${number}.xml`),
    encodeLidcXml(studyUid, seriesUid, readers),
  );
  return `${seriesUid},"Phantom, synthetic",${patientId},${studyUid},CT,${count},./${location}`;
}

function enlarged(
  { ct, noduleMask }: { ct: Float32Array; noduleMask: Uint8Array },
  from: number,
  to: number,
) {
  if (from === to) return { ct, noduleMask };
  const a = { height: from, width: from }, b = { height: to, width: to };
  const large = resizeBilinear(ct, a, b);
  // Texture of a cheap kind: without it enlarged slices would be unlike any scanner's.
  for (let i = 0, state = 12345; i < large.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    large[i] += (state >> 16) % 41 - 20;
  }
  return { ct: large, noduleMask: resizeNearest(noduleMask, a, b) };
}

/** HU as stored values with an intercept of −1024. */
function stored(ct: Float32Array, size: number, signed: boolean): Int16Array | Uint16Array {
  if (!signed) {
    return Uint16Array.from(ct, (hu) => Math.min(4095, Math.max(0, Math.round(hu) + 1024)));
  }
  const limit = (CIRCLE_MM / FIELD_MM * size) ** 2, middle = (size - 1) / 2;
  return Int16Array.from(ct, (hu, i) => {
    const dx = i % size - middle, dy = Math.floor(i / size) - middle;
    const isPadding = dx * dx + dy * dy > limit;
    return isPadding ? -2000 : Math.min(32767, Math.round(hu) + 1024);
  });
}

/** Nodules of fewer voxels are marked as below 3 mm, by a point. */
const MIN_PIXELS = 10;

function readersOf(
  nodules: Uint8Array,
  count: number,
  size: number,
  sops: readonly string[],
  zs: readonly number[],
  random: PhiloxStream,
): ReaderText[] {
  const area = size * size;
  const { labels, sizes } = components3d(nodules, count, size, size);
  const readers = [0, 1, 2, 3].map(() => ({
    nodules: [] as NoduleText[],
    nonNodules: [] as ReaderText["nonNodules"][number][],
  }));
  for (let label = 1; label < sizes.length; label++) {
    if (sizes[label] < MIN_PIXELS) {
      const first = labels.indexOf(label), z = Math.floor(first / area), pixel = first % area;
      const points = [pixel % size, Math.floor(pixel / size)];
      readers.forEach((reader, r) =>
        reader.nodules.push({
          id: `tiny${label}-${r}`,
          characteristics: null,
          rois: [{ sopInstance: sops[z], z: zs[z], points }],
        })
      );
      continue;
    }
    const missing = label % 4;
    readers.forEach((reader, r) => {
      if (r === missing) return;
      const rois = [];
      for (let z = 0; z < count; z++) {
        const own = labels.subarray(z * area, (z + 1) * area);
        if (!own.includes(label)) continue;
        const mask = Uint8Array.from(own, (v) => v === label ? 1 : 0);
        for (const points of outlines(mask, size, size, r === 1 ? 1 : 0)) {
          rois.push({ sopInstance: sops[z], z: zs[z], points });
        }
      }
      const ratings = Object.entries(CHARACTERISTICS).map(([name, highest]) =>
        [name, 1 + Math.floor(random.uniform() * highest)] as const
      );
      reader.nodules.push({
        // Readers number their marks as they like.
        id: `${r * 100 + sizes.length - label}`,
        characteristics: Object.fromEntries(ratings) as Characteristics,
        rois,
      });
    });
  }
  const slice = count >> 1, x = size >> 2, y = size >> 1;
  readers.forEach((reader, r) => {
    const at = { sopInstance: sops[slice], z: zs[slice] };
    reader.nodules.push({
      id: `small${r}`,
      characteristics: null,
      rois: [{ ...at, points: [x, y] }],
    });
    reader.nonNodules.push({ id: `non${r}`, ...at, x: x + 8, y });
  });
  return readers;
}
