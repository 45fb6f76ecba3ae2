/** LIDC-IDRI's reading files: what four readers marked on a scan. */

import { XMLParser, XMLValidator } from "fast-xml-parser";
import { InputError } from "../../errors.ts";
import { LIMITS } from "../../io/limits.ts";

/** The nine ratings of a nodule of 3 mm or more, and their highest value (the lowest is 1). */
export const CHARACTERISTICS = {
  subtlety: 5,
  internalStructure: 4,
  calcification: 6,
  sphericity: 5,
  margin: 5,
  lobulation: 5,
  spiculation: 5,
  texture: 5,
  malignancy: 5,
} as const;
export type Characteristic = keyof typeof CHARACTERISTICS;
export type Characteristics = Record<Characteristic, number>;

/** One closed outline on one slice: the outer border, in pixels (x = column, y = row). */
export interface Roi {
  sopInstance: string;
  /** FALSE outlines are holes. */
  inclusion: boolean;
  /** x0, y0, x1, y1, … */
  points: Int32Array;
}

export interface NoduleMark {
  id: string;
  /** Null where one is missing, blank or 0: mostly of a nodule below 3 mm, by a point alone. */
  characteristics: Characteristics | null;
  rois: Roi[];
}

export interface NonNodule {
  id: string;
  sopInstance: string;
  x: number;
  y: number;
}

export interface Reader {
  /** From 0, in the order of the file; the file's own names are all "anonymous". */
  index: number;
  nodules: NoduleMark[];
  nonNodules: NonNodule[];
}

/** `ct`: a read of a CT scan. `xray`: of a chest X-ray. `other`: no LIDC-IDRI file at all. */
export type LidcFile =
  | {
    kind: "ct";
    seriesUid: string;
    studyUid: string;
    readers: Reader[];
    /** SOP instance UIDs of outlines that could not be read ("": not even that). */
    broken: string[];
    notes: string[];
  }
  | { kind: "xray" }
  | { kind: "other"; root: string };

export const MAX_XML_BYTES = LIMITS.xml.bytes;
const MAX_COORDINATE = 65535;

// deno-lint-ignore no-explicit-any -- an XML tree: every value is checked where it is used
type Tree = any;

const LISTS = new Set(["readingSession", "unblindedReadNodule", "nonNodule", "roi", "edgeMap"]);
const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true, // the namespace is used inconsistently, so it says nothing
  parseTagValue: false,
  processEntities: false, // no entity bombs; numbers and UIDs need none
  isArray: (name) => LISTS.has(name),
});

/**
 * Parses an annotation file.
 * @param name the file's name, for messages.
 * @throws InputError naming `name` and the reason: not well-formed, or a value that cannot be one.
 */
export function parseLidcXml(bytes: Uint8Array, name: string): LidcFile {
  const fail = (why: string) => new InputError(`Cannot read "${name}": ${why}`);
  if (bytes.length > MAX_XML_BYTES) {
    throw fail(`${bytes.length} bytes, at most ${MAX_XML_BYTES} are accepted`);
  }
  // Editors leave blank lines before the declaration.
  const text = decodeText(bytes).trimStart();
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw fail("a document type declaration is not accepted");
  const excess = tagExcess(text);
  if (excess) throw fail(excess);
  let tree: Tree;
  try {
    // The parser alone is lenient: it would take a truncated file for a shorter one.
    const valid = XMLValidator.validate(text);
    if (valid !== true) throw new Error(`line ${valid.err.line}: ${valid.err.msg}`);
    tree = parser.parse(text);
  } catch (error) {
    throw fail(`not well-formed XML: ${error instanceof Error ? error.message : error}`);
  }
  const roots = Object.keys(tree).filter((key) => !key.startsWith("?"));
  if (roots.includes("IdriReadMessage")) return { kind: "xray" };
  const message = tree.LidcReadMessage;
  if (message === undefined) return { kind: "other", root: roots[0] ?? "(none)" };
  try {
    const notes: string[] = [], broken: string[] = [];
    const header = message.ResponseHeader;
    const sessions = asList(message.readingSession);
    requireReading(sessions);
    if (sessions.length === 0) throw new Error("no readingSession in it");
    if (sessions.length > 4) notes.push(`${sessions.length} readers, LIDC-IDRI has four`);
    return {
      kind: "ct",
      seriesUid: textOf(header?.SeriesInstanceUid ?? header?.SeriesInstanceUID),
      studyUid: textOf(header?.StudyInstanceUID),
      readers: sessions.map((session, index) => readSession(session, index, notes, broken)),
      broken,
      notes,
    };
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
}

/** UTF-8, or UTF-16 by its mark or its zeros. */
function decodeText(bytes: Uint8Array): string {
  const [a, b] = bytes;
  if (a === 0xff && b === 0xfe || a === 0x3c && b === 0) {
    return new TextDecoder("utf-16le").decode(bytes);
  }
  if (a === 0xfe && b === 0xff || a === 0 && b === 0x3c) {
    return new TextDecoder("utf-16be").decode(bytes);
  }
  return new TextDecoder().decode(bytes);
}

/** The SeriesInstanceUID that a file names, even one that is damaged; "" where none is found. */
export function seriesUidIn(bytes: Uint8Array): string {
  const text = decodeText(bytes.subarray(0, 2 ** 20));
  return /SeriesInstanceU[Ii][Dd]\s*>\s*([0-9.]{1,64})/.exec(text)?.[1] ?? "";
}

/** What there is of tags, without a parser: it takes its time for each, and more for each name. */
function tagExcess(text: string): string | null {
  const { tags, names, attributes } = LIMITS.xml, seen = new Set<string>();
  let count = 0;
  for (let at = text.indexOf("<"); at >= 0; at = text.indexOf("<", at + 1)) {
    if (++count > tags) return `more than ${tags} tags`;
    const [name] = /[^\s/>]{0,64}/.exec(text.slice(at + 1, at + 66).replace("/", ""))!;
    seen.add(name);
    if (seen.size > names) return `tags of more than ${names} names`;
  }
  let equals = 0;
  for (let at = text.indexOf("="); at >= 0; at = text.indexOf("=", at + 1)) {
    if (++equals > attributes) return `more than ${attributes} attributes`;
  }
  return null;
}

function requireReading(sessions: Tree[]) {
  const { readers, nodules, outlines } = LIMITS.reading;
  const marks = sessions.flatMap((session) => asList(session.unblindedReadNodule));
  const rois = marks.reduce((sum, mark) => sum + asList(mark.roi).length, 0);
  for (
    const [what, count, most] of [
      ["readers", sessions.length, readers],
      ["nodules", marks.length, nodules],
      ["outlines", rois, outlines],
    ] as const
  ) if (count > most) throw new Error(`${count} ${what}, at most ${most} are accepted`);
}

function asList(value: Tree): Tree[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: Tree): string {
  if (typeof value !== "string") return "";
  if (value.length > LIMITS.xml.text) throw new Error(`a value of ${value.length} characters`);
  return value.trim();
}

function coordinate(value: Tree, where: string): number {
  const text = textOf(value);
  if (!/^-?\d{1,6}(\.0*)?$/.test(text)) throw new Error(`${where} "${text}" is not a whole number`);
  const number = Number(text);
  if (Math.abs(number) > MAX_COORDINATE) throw new Error(`${where} ${number} is no pixel`);
  return number;
}

function readSession(
  session: Tree,
  index: number,
  notes: string[],
  broken: string[],
): Reader {
  const nonNodules = asList(session.nonNodule).flatMap((entry): NonNodule[] => {
    try {
      return [{
        id: textOf(entry.nonNoduleID),
        sopInstance: textOf(entry.imageSOP_UID),
        x: coordinate(entry.locus?.xCoord, "xCoord of a nonNodule"),
        y: coordinate(entry.locus?.yCoord, "yCoord of a nonNodule"),
      }];
    } catch (error) {
      notes.push(`reader ${index + 1}: a non-nodule is left out: ${(error as Error).message}`);
      return [];
    }
  });
  return {
    index,
    nodules: asList(session.unblindedReadNodule).map((nodule) =>
      readNodule(nodule, index, notes, broken)
    ),
    nonNodules,
  };
}

/** One outline that cannot be read costs that outline, and its slice is no longer sure. */
function readNodule(
  nodule: Tree,
  reader: number,
  notes: string[],
  broken: string[],
): NoduleMark {
  const id = textOf(nodule.noduleID), where = `reader ${reader + 1}, nodule "${id}"`;
  const rois: Roi[] = [];
  asList(nodule.roi).forEach((roi, number) => {
    try {
      rois.push(readRoi(roi));
    } catch (error) {
      const why = (error as Error).message;
      notes.push(`${where}: outline ${number + 1} cannot be read: ${why}`);
      broken.push(typeof roi === "object" ? safeText(roi.imageSOP_UID) : "");
    }
  });
  if (asList(nodule.roi).length === 0) {
    notes.push(`${where}: it has no outline`);
    broken.push("");
  }
  return { id, characteristics: readCharacteristics(nodule.characteristics, where, notes), rois };
}

function readRoi(roi: Tree): Roi {
  const edges = asList(roi.edgeMap);
  if (edges.length === 0) throw new Error("no edgeMap");
  const points = new Int32Array(2 * edges.length);
  edges.forEach((edge, i) => {
    points[2 * i] = coordinate(edge.xCoord, "xCoord");
    points[2 * i + 1] = coordinate(edge.yCoord, "yCoord");
  });
  const inclusion = textOf(roi.inclusion).toUpperCase() !== "FALSE";
  return { sopInstance: textOf(roi.imageSOP_UID), inclusion, points };
}

const safeText = (value: Tree) => typeof value === "string" ? value.slice(0, 64).trim() : "";

function readCharacteristics(tree: Tree, where: string, notes: string[]): Characteristics | null {
  if (tree === undefined || typeof tree !== "object") return null;
  const result = {} as Characteristics;
  for (const [name, highest] of Object.entries(CHARACTERISTICS)) {
    const text = textOf(tree[name]);
    if (text === "" || text === "0") return null;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > highest) {
      notes.push(`${where}: ${name} is "${text}", not 1…${highest}; its ratings are left out`);
      return null;
    }
    result[name as Characteristic] = value;
  }
  return result;
}
