/** A reader study: which slices are shown, in which order, and what the answers say. */

import { createHash } from "node:crypto";
import { type PreparedSlice, prepareSlice, type SliceRecord } from "../data/dataset.ts";
import type { Size } from "../data/resize.ts";
import type { HuWindow } from "../data/window.ts";
import { InputError } from "../errors.ts";
import { parseJsonFile } from "../io/json.ts";
import { encodePng } from "../io/png.ts";
import { fleissKappa, wilson } from "../metrics/agreement.ts";
import { PhiloxStream } from "../random/philox.ts";
import { estimate, type Interval, type Sums } from "./utility.ts";

/** What a reader may answer, and what a slice is. */
export const KINDS = ["real", "generated"] as const;
export type Kind = (typeof KINDS)[number];

/** Keeps the choice and the order apart from other draws with the same seed. */
const STREAM = 15 * 2 ** 40;

export interface StudyItem {
  readonly kind: Kind;
  readonly record: SliceRecord;
}

/**
 * Half real slices, half generated ones, in an order of chance. Both halves have as many slices with a
 * nodule, as far as there are: that there is one must not give a slice away.
 *
 * @returns fewer than `count` where one side has no more.
 * @throws InputError where a side has none.
 */
export function chooseItems(
  real: readonly SliceRecord[],
  generated: readonly SliceRecord[],
  count: number,
  seed: number,
): StudyItem[] {
  for (const [name, records] of [["--real", real], ["--generated", generated]] as const) {
    if (records.length === 0) {
      throw new InputError(`Cannot make a reader study: ${name} has no slice`);
    }
  }
  const random = new PhiloxStream(seed, STREAM);
  const shuffled = <T>(list: readonly T[]): T[] =>
    Array.from(random.shuffle(Uint32Array.from(list, (_, i) => i)), (i) => list[i]);
  const byId = (records: readonly SliceRecord[]) =>
    shuffled([...records].sort((a, b) => a.id < b.id ? -1 : 1));
  const sides = [byId(real), byId(generated)];
  const of = (label: 0 | 1) => sides.map((side) => side.filter((record) => record.label === label));
  const [without, having] = [of(0), of(1)];
  const least = (lists: StudyItem["record"][][]) => Math.min(...lists.map((list) => list.length));
  const half = Math.max(1, Math.floor(count / 2));
  const negatives = Math.min(least(without), half - Math.min(Math.floor(half / 2), least(having)));
  const positives = Math.min(least(having), half - negatives);
  const items = KINDS.flatMap((kind, side) => {
    const alike = [...having[side].slice(0, positives), ...without[side].slice(0, negatives)];
    // Where the classes differ from side to side, anything is better than nothing.
    const rest = sides[side].filter((record) => !alike.includes(record));
    const missing = Math.min(half, real.length, generated.length) - alike.length;
    return [...alike, ...rest.slice(0, Math.max(0, missing))].map((record) => ({ kind, record }));
  });
  return shuffled(items);
}

/** A slice as a grey PNG without a word in it. */
export function slicePng({ ct, height, width }: PreparedSlice): Uint8Array {
  const data = Uint8Array.from(ct, (v) => Math.round(255 * Math.min(1, Math.max(0, (v + 1) / 2))));
  return encodePng({ width, height, channels: 1, data });
}

/** What an answer file is held against. It says what is real: readers must not see it. */
export interface StudyKey {
  readonly study: string;
  readonly seed: number;
  readonly window: HuWindow;
  readonly items: readonly { readonly item: number; readonly kind: Kind; readonly id: string }[];
}

export interface Study {
  readonly key: StudyKey;
  /** In the order in which they are shown. */
  readonly pictures: readonly Uint8Array[];
}

/** Loads what was chosen. All slices are resized alike and shown in one window. */
export async function makeStudy(
  items: readonly StudyItem[],
  size: Size,
  window: HuWindow,
  seed: number,
  onDone: (done: number) => void,
): Promise<Study> {
  const pictures: Uint8Array[] = [];
  for (const [i, { record }] of items.entries()) {
    pictures.push(slicePng(await prepareSlice(record, size, window, { antialias: true })));
    onDone(i + 1);
  }
  const hash = createHash("sha256");
  for (const picture of pictures) hash.update(picture);
  const study = hash.digest("hex").slice(0, 16);
  const named = items.map(({ kind, record }, i) => ({ item: i + 1, kind, id: record.id }));
  return { key: { study, seed, window, items: named }, pictures };
}

/** One reader's file. */
export interface Answers {
  readonly reader: string;
  /** Item → answer; items without one are missing. */
  readonly answers: ReadonlyMap<number, Kind>;
}

const isKind = (value: unknown): value is Kind => KINDS.includes(value as Kind);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @throws InputError naming the file and what is wrong with it. */
export function parseKey(source: Uint8Array, name: string): StudyKey {
  const fail = (why: string) => new InputError(`Cannot read "${name}" as a study's key: ${why}`);
  const key = parseJsonFile(source, name);
  if (!isObject(key) || typeof key.study !== "string" || !Array.isArray(key.items)) {
    throw fail('"study" and "items" needed, as reader-study writes them');
  }
  key.items.forEach((item, i) => {
    if (!isObject(item) || item.item !== i + 1 || !isKind(item.kind)) {
      throw fail(`entry ${i + 1} of "items" is none`);
    }
  });
  return key as unknown as StudyKey;
}

/**
 * A reader's answers to the study of `key`.
 *
 * @throws InputError naming the file: another study's, an item that there is not, or one twice.
 */
export function parseAnswers(source: Uint8Array, name: string, key: StudyKey): Answers {
  const fail = (why: string) => new InputError(`Cannot score "${name}": ${why}`);
  const file = parseJsonFile(source, name);
  if (!isObject(file) || typeof file.study !== "string" || !Array.isArray(file.answers)) {
    throw fail('no answers of a reader study ("study" and "answers" needed)');
  }
  if (file.study !== key.study) {
    throw fail(`it answers study ${file.study}, the key is of study ${key.study}`);
  }
  const answers = new Map<number, Kind>();
  for (const one of file.answers) {
    if (!isObject(one) || !isKind(one.answer)) {
      throw fail('an answer is neither "real" nor "generated"');
    }
    const { item } = one;
    if (typeof item !== "number" || !key.items.some((known) => known.item === item)) {
      throw fail(`there is no item ${item} among ${key.items.length}`);
    }
    if (answers.has(item)) throw fail(`item ${item} is answered twice`);
    answers.set(item, one.answer);
  }
  return { reader: typeof file.reader === "string" ? file.reader : "", answers };
}

/** Of one reader. */
export interface ReaderScore {
  readonly reader: string;
  readonly answered: number;
  readonly correct: number;
  readonly accuracy: number;
  /** Wilson, 95 %. */
  readonly interval: readonly [number, number];
  /** Shares of the real slices called real, and of the generated ones called generated. */
  readonly realCalledReal: number;
  readonly generatedCalledGenerated: number;
}

export interface StudyScore {
  readonly items: number;
  readonly readers: readonly ReaderScore[];
  /** Mean of the readers' accuracies, with a bootstrap interval over readers and slices. */
  readonly all: Interval;
  /** Fleiss' κ of the answers, over slices with two or more; null where it is not defined. */
  readonly kappa: number | null;
  /** Slices with two or more answers. */
  readonly shared: number;
}

/** What the answers say; missing ones count neither as right nor as wrong. */
export function scoreStudy(key: StudyKey, readers: readonly Answers[], seed = 0): StudyScore {
  const truth = new Map(key.items.map(({ item, kind }) => [item, kind]));
  const scores = readers.map(({ reader, answers }): ReaderScore => {
    const of = (kind: Kind) => [...answers].filter(([item]) => truth.get(item) === kind);
    const right = (list: [number, Kind][]) =>
      list.filter(([item, answer]) => truth.get(item) === answer).length;
    const [real, generated] = KINDS.map(of);
    const correct = right(real) + right(generated);
    return {
      ...{ reader, answered: answers.size, correct },
      accuracy: correct / answers.size,
      interval: wilson(correct, answers.size),
      realCalledReal: right(real) / real.length,
      generatedCalledGenerated: right(generated) / generated.length,
    };
  });
  const sums = readers.filter(({ answers }) => answers.size > 0).map(({ answers }): Sums => ({
    sum: Float64Array.from(key.items, ({ item, kind }) => answers.get(item) === kind ? 1 : 0),
    count: Float64Array.from(key.items, ({ item }) => answers.has(item) ? 1 : 0),
  }));
  const counts = key.items.map(({ item }) =>
    KINDS.map((kind) => readers.filter(({ answers }) => answers.get(item) === kind).length)
  );
  return {
    items: key.items.length,
    readers: scores,
    all: estimate(sums, null, seed),
    kappa: fleissKappa(counts),
    shared: counts.filter((row) => row[0] + row[1] >= 2).length,
  };
}
