/** Values must be HU, and mask values what they are taken for. */

import assert from "node:assert/strict";
import type { Element } from "../../lib/data/dicom_write/element.ts";
import { rejection } from "../../lib/data/dicom/accept.ts";
import { parseHeader } from "../../lib/data/dicom/header.ts";
import { loadSeries } from "../../lib/data/dicom/series.ts";
import { maskOf, parseLabels } from "../../lib/data/prepare/labels.ts";
import { unreadKinds } from "../../lib/data/prepare/unread.ts";
import { InputError } from "../../lib/errors.ts";
import { ctBytes, folderOf } from "./ct_maker.ts";

const at = (number: number, vr: "US" | "SS" | "LO" | "SQ", value: unknown) =>
  [number, [number, vr, value]] as unknown as [number, Element];
const PADDING = 0x00280120, LIMIT = 0x00280121, STORED = 0x00280101, HIGH = 0x00280102;

/** HU of the first pixels of a slice with these stored values in front. */
async function huOf(
  first: number[],
  unsigned: boolean,
  changes: [number, Element | null][],
  fill = 1064,
): Promise<number[]> {
  const pixels = unsigned ? new Uint16Array(400) : new Int16Array(400);
  pixels.fill(fill).set(first);
  // The corners.
  pixels[19] = pixels[380] = pixels[399] = first[0];
  const folder = folderOf({ a: ctBytes({ pixels, changes }) });
  return [...(await loadSeries([`${folder}/a`])).hu.subarray(0, first.length)];
}

Deno.test("padding is air: unsigned 63536, a range, beyond BitsStored; water named as padding is not", async () => {
  assert.deepEqual(await huOf([63536, 2000], true, [at(PADDING, "US", 63536)]), [-1024, 976]);
  assert.deepEqual(
    await huOf([5000, 5010, 5020], true, [at(PADDING, "US", 5000), at(LIMIT, "US", 5010)]),
    [-1024, -1024, 3996],
  );
  const twelve = [at(PADDING, "US", 63536), at(STORED, "US", 12), at(HIGH, "US", 11)];
  assert.deepEqual(await huOf([63536, 2096], true, twelve), [-1024, 1072]);
  assert.deepEqual(await huOf([-2000, 24], false, [at(PADDING, "SS", -2000)]), [-1024, -1000]);
  // 1024 is water: only where the corners hold it, it is padding.
  assert.deepEqual(await huOf([24, 1024], true, [at(PADDING, "US", 1024)]), [-1000, 0]);
  assert.deepEqual(await huOf([1024, 1025], true, [at(PADDING, "US", 1024)]), [-1024, 1]);
});

Deno.test("a Modality LUT and a RescaleType other than HU are refused by name", () => {
  const reason = (change: [number, Element | null]) =>
    rejection(parseHeader(ctBytes({ changes: [change] }), "x").header);
  assert.match(reason(at(0x00281054, "LO", "Z_EFF"))!, /RescaleType Z_EFF, not HU/);
  assert.equal(reason(at(0x00281054, "LO", "HU")), null);
  assert.equal(reason(at(0x00281054, "LO", "US")), null);
});

Deno.test("a missing RescaleIntercept is told", async () => {
  const folder = folderOf({ a: ctBytes({ changes: [[0x00281052, null], [0x00281053, null]] }) });
  assert.match((await loadSeries([`${folder}/a`])).told.join(), /RescaleIntercept is missing/);
});

const lung = { option: "--lung-label", choice: null, kept: [1, 2] } as const;
const nodule = { option: "--nodule-label", choice: null, kept: [1] } as const;

Deno.test("mask values: 0/1, 0/255, right and left, shares; several labels are asked for", () => {
  const notes: string[] = [];
  const of = (values: number[], rule: Parameters<typeof maskOf>[2]) => [
    ...maskOf("m.npy", Float64Array.from(values), rule, notes),
  ];
  assert.deepEqual(of([0, 1, 2], lung), [0, 1, 2]);
  assert.deepEqual(of([0, 2], lung), [0, 2]);
  assert.deepEqual(of([0, 255], lung), [0, 1]);
  assert.deepEqual(of([0, 3], nodule), [0, 1]);
  assert.deepEqual(notes, []);
  assert.deepEqual(of([0, 0.2, 0.5, 1], lung), [0, 0, 1, 1]);
  assert.match(notes.pop()!, /shares between 0 and 1/);
  const gray = Array.from({ length: 256 }, (_, i) => i);
  assert.deepEqual(of(gray, lung), gray.map((v) => v >= 128 ? 1 : 0));
  assert.match(notes.pop()!, /gray borders/);
  assert.throws(() => of([0, 1, 2], nodule), /2 labels .*1: 1, 2: 1.*--nodule-label/);
  assert.throws(() => of([0, 1, 2, 3], lung), /3 labels .*--lung-label/);
  assert.throws(() => of([-1000, 40], lung), /-1000 … 40, not labels/);
  assert.throws(() => of([0, 1.5], lung), /no whole numbers/);
  assert.throws(() => of([0, NaN], lung), InputError);
  assert.deepEqual(of([0, 1, 2, 3], { ...nodule, choice: [2] }), [0, 0, 1, 0]);
  assert.deepEqual(of([0, 1, 2, 3], { ...nodule, choice: "all" }), [0, 1, 1, 1]);
  assert.deepEqual(of([0, 1], { ...nodule, choice: [2] }), [0, 0]);
  assert.match(notes.pop()!, /has no label 2: labels 1/);
});

Deno.test("labels by number and by name; another is refused with what there is", () => {
  assert.deepEqual(parseLabels("1, 3", "--lung-label"), [1, 3]);
  assert.equal(parseLabels("all", "--lung-label"), "all");
  assert.deepEqual(parseLabels("totalsegmentator", "--lung-label"), [10, 11, 12, 13, 14]);
  assert.deepEqual(parseLabels("covid-19-ct-seg", "--lung-label"), [1, 2, 3]);
  for (const wrong of ["0", "-1", "lungs", "1.5", ""]) {
    assert.throws(() => parseLabels(wrong, "--lung-label"), /--lung-label.*totalsegmentator/);
  }
});

Deno.test("files that were not read are told by kind, with what to do", () => {
  const lines = unreadKinds(["a/x.mhd", "a/y.MHD", "b.zip", "readme.txt"]);
  assert.equal(lines.length, 2);
  assert.match(lines[0], /^2 MetaImage .*--luna16/);
  assert.match(lines[1], /^1 archives .*unpack/);
});
