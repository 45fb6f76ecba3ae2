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
  /** Null for a nodule below 3 mm: its ratings are missing, blank or 0. */
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
  | { kind: "ct"; seriesUid: string; studyUid: string; readers: Reader[]; notes: string[] }
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
  const text = new TextDecoder().decode(bytes);
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
    const notes: string[] = [];
    const header = message.ResponseHeader;
    const sessions = asList(message.readingSession);
    requireReading(sessions);
    if (sessions.length > 4) notes.push(`${sessions.length} readers, LIDC-IDRI has four`);
    return {
      kind: "ct",
      seriesUid: textOf(header?.SeriesInstanceUid ?? header?.SeriesInstanceUID),
      studyUid: textOf(header?.StudyInstanceUID),
      readers: sessions.map((session, index) => readSession(session, index, notes)),
      notes,
    };
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
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
  if (!/^-?\d{1,6}$/.test(text)) throw new Error(`${where} "${text}" is not a whole number`);
  const number = Number(text);
  if (Math.abs(number) > MAX_COORDINATE) throw new Error(`${where} ${number} is no pixel`);
  return number;
}

function readSession(session: Tree, index: number, notes: string[]): Reader {
  return {
    index,
    nodules: asList(session.unblindedReadNodule).map((nodule) => readNodule(nodule, index, notes)),
    nonNodules: asList(session.nonNodule).map((entry) => ({
      id: textOf(entry.nonNoduleID),
      sopInstance: textOf(entry.imageSOP_UID),
      x: coordinate(entry.locus?.xCoord, "xCoord of a nonNodule"),
      y: coordinate(entry.locus?.yCoord, "yCoord of a nonNodule"),
    })),
  };
}

function readNodule(nodule: Tree, reader: number, notes: string[]): NoduleMark {
  const id = textOf(nodule.noduleID);
  const rois = asList(nodule.roi).map((roi): Roi => {
    const edges = asList(roi.edgeMap);
    const points = new Int32Array(2 * edges.length);
    edges.forEach((edge, i) => {
      points[2 * i] = coordinate(edge.xCoord, `xCoord of nodule "${id}"`);
      points[2 * i + 1] = coordinate(edge.yCoord, `yCoord of nodule "${id}"`);
    });
    return {
      sopInstance: textOf(roi.imageSOP_UID),
      inclusion: textOf(roi.inclusion).toUpperCase() !== "FALSE",
      points,
    };
  });
  const where = `reader ${reader + 1}, nodule "${id}"`;
  return { id, characteristics: readCharacteristics(nodule.characteristics, where, notes), rois };
}

function readCharacteristics(tree: Tree, where: string, notes: string[]): Characteristics | null {
  if (tree === undefined || typeof tree !== "object") return null;
  const result = {} as Characteristics;
  for (const [name, highest] of Object.entries(CHARACTERISTICS)) {
    const text = textOf(tree[name]);
    if (text === "" || text === "0") return null;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > highest) {
      notes.push(`${where}: ${name} is "${text}", not 1…${highest}; taken as below 3 mm`);
      return null;
    }
    result[name as Characteristic] = value;
  }
  return result;
}
