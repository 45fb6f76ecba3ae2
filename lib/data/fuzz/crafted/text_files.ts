/** LIDC's XML, CSV, split files and JSON: much of everything. */

import { type Crafted, HOSTILE_TEXT, repeat, text } from "./crafted.ts";

const MB = 1e6;
const message = (inside: string) =>
  text(`<LidcReadMessage><readingSession>${inside}</readingSession></LidcReadMessage>`);
const RATINGS = ["subtlety", "internalStructure", "calcification", "sphericity", "margin"]
  .concat("lobulation", "spiculation", "texture", "malignancy");
const rated = (value: string) =>
  `<characteristics>${RATINGS.map((r) => `<${r}>${value}</${r}>`).join("")}</characteristics>`;
const point = (x: number, y: number) =>
  `<edgeMap><xCoord>${x}</xCoord><yCoord>${y}</yCoord></edgeMap>`;
const roi = (points: string) => `<roi><imageSOP_UID>1</imageSOP_UID>${points}</roi>`;
const nodule = (inside: string, value = "1") =>
  `<unblindedReadNodule><noduleID>n</noduleID>${rated(value)}${inside}</unblindedReadNodule>`;
/** A circle of so many points around the middle of a slice of 512². */
const circle = (points: number, radius: number) =>
  Array.from({ length: points }, (_, i) => {
    const angle = 2 * Math.PI * i / points;
    const at = (f: (angle: number) => number) => Math.round(256 + radius * f(angle));
    return point(at(Math.cos), at(Math.sin));
  }).join("");
const corners = point(0, 0) + point(511, 0) + point(511, 511) + point(0, 511);

export const XML: readonly Crafted[] = [
  {
    name: "30 MB of elements",
    file: "large.xml",
    content: () => [message("<a/>".repeat(7.5 * MB))],
  },
  {
    name: "5.9 MB of elements",
    file: "elements.xml",
    content: () => [message("<a/>".repeat(1.45 * MB))],
  },
  {
    name: "a million different elements",
    file: "names.xml",
    content: () => [message(Array.from({ length: 5e5 }, (_, i) => `<a${i}/>`).join(""))],
  },
  {
    name: "half a million attributes",
    file: "attributes.xml",
    content: () => [
      message(`<a ${Array.from({ length: 4.5e5 }, (_, i) => `a${i}=""`).join(" ")}/>`),
    ],
  },
  {
    name: "a million processing instructions",
    file: "instructions.xml",
    content: () => [message("<?a?>".repeat(1.1 * MB))],
  },
  {
    name: "nested a million deep",
    file: "nested.xml",
    content: () => [message("<a>".repeat(1.9 * MB))],
  },
  {
    name: "nested 50,000 deep",
    file: "deep.xml",
    content: () => [message("<a>".repeat(5e4) + "</a>".repeat(5e4))],
  },
  {
    name: "entities that multiply",
    file: "entities.xml",
    content: () => [
      `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">${
        Array.from({ length: 9 }, (_, i) => `<!ENTITY a${i} "${`&a${i - 1 || ""};`.repeat(10)}">`)
      }]>`,
      message("&a8;"),
    ],
  },
  {
    name: "a nodule's name of 5 MB",
    file: "name.xml",
    content: () => [
      message(
        `<unblindedReadNodule><noduleID>${"n".repeat(5 * MB)}</noduleID></unblindedReadNodule>`,
      ),
    ],
  },
  {
    name: "a SeriesInstanceUid of 5 MB",
    file: "uid.xml",
    content: () => [
      "<LidcReadMessage><ResponseHeader><SeriesInstanceUid>",
      repeat("1", 5 * MB),
      "</SeriesInstanceUid></ResponseHeader></LidcReadMessage>",
    ],
  },
  {
    name: "a coordinate that a terminal obeys",
    file: "escape.xml",
    content: () => [
      message(`<nonNodule><locus><xCoord>${HOSTILE_TEXT}</xCoord></locus></nonNodule>`),
    ],
    mayBeRead: true, // with a note
  },
  {
    name: "an element that a terminal obeys",
    file: "escape_tag.xml",
    content: () => [message(`<a${HOSTILE_TEXT}></b>`)],
  },
  {
    name: "20,000 bad ratings",
    file: "ratings.xml",
    content: () => [message(nodule(roi(""), "9").repeat(2e4).slice(0, 5.9 * MB))],
  },
  {
    name: "1500 outlines around the whole slice",
    file: "corners.xml",
    content: () => [message(nodule(roi(corners)).repeat(1500))],
  },
  {
    name: "a nodule of 16,000 outlines in opposite corners",
    file: "opposite.xml",
    content: () => [
      message(nodule((roi(point(0, 0)) + roi(point(511, 511))).repeat(8000))),
    ],
    mayBeRead: true,
  },
  {
    name: "four marks of 10,000 points on one slice",
    file: "points.xml",
    content: () => [
      message([100, 140, 180, 220].map((r) => nodule(roi(circle(10_000, r)))).join("")),
    ],
  },
  {
    name: "two marks of 30,000 points on one slice",
    file: "pairs.xml",
    content: () => [
      message([100, 101].map((r) => nodule(roi(circle(30_000, r)))).join("")),
    ],
  },
  {
    name: "1,000 marks of one nodule",
    file: "thousand.xml",
    content: () => [message(nodule(roi(circle(8, 3))).repeat(1000))],
    mayBeRead: true,
  },
  {
    name: "2,000 marks of one nodule",
    file: "marks.xml",
    content: () => [message(nodule(roi(circle(8, 3))).repeat(2000))],
  },
  {
    name: "50,000 readers",
    file: "readers.xml",
    content: () => [message("</readingSession><readingSession>".repeat(5e4))],
  },
];

const HEADER = "Series UID,Subject ID,Modality,Number of Images\n";
export const CSV: readonly Crafted[] = [
  {
    name: "66 MB of rows",
    file: "large.csv",
    content: () => [HEADER, repeat("1,2,CT,3\n", 66 * MB / 9)],
  },
  {
    name: "16 MB of rows",
    file: "rows.csv",
    content: () => [HEADER, repeat("1,2,CT,3\n", 1.8 * MB)],
  },
  {
    name: "130,000 rows of 16 fields",
    file: "fields.csv",
    content: () => [
      HEADER.trim() + ",c".repeat(12) + "\n",
      repeat("1,2,CT,3,4,5,6,7,8,9,a,b,c,d,e,f\n", 130_000),
    ],
    mayBeRead: true,
  },
  {
    name: "16 million empty lines",
    file: "lines.csv",
    content: () => [HEADER, repeat("\n", 16 * MB)],
  },
  { name: "five million columns", file: "columns.csv", content: () => [repeat("a,", 5 * MB)] },
  {
    name: "2,000,000 fields in 8,000 rows",
    file: "wide.csv",
    content: () => [
      `Series UID${",a".repeat(255)}\n`,
      repeat(",".repeat(255) + "\n", 8000),
    ],
    mayBeRead: true,
  },
  { name: "a field of 16 MB", file: "field.csv", content: () => [HEADER, repeat("x", 16 * MB)] },
  {
    name: "a quote without an end",
    file: "quote.csv",
    content: () => [HEADER, '"', repeat("x,\n", 4 * MB)],
  },
  {
    name: "eight million quotes",
    file: "quotes.csv",
    content: () => [HEADER, repeat('""', 8 * MB)],
  },
  { name: "16 MB of zero bytes", file: "zeros.csv", content: () => [HEADER, 16 * MB] },
  {
    name: "four million carriage returns",
    file: "returns.csv",
    content: () => [
      HEADER.replace("\n", "\r"),
      repeat("1\r", 4 * MB),
    ],
  },
  {
    name: "a column that a terminal obeys",
    file: "escape.csv",
    content: () => [HOSTILE_TEXT + ",b\n1,2,3\n"],
  },
  { name: "no column of series", file: "none.csv", content: () => ["a,b\n", repeat("1,2\n", 1e5)] },
];

export const TXT: readonly Crafted[] = [
  { name: "a line of 16 MB", file: "line.txt", content: () => [repeat("x", 16 * MB)] },
  { name: "100 MB of names", file: "large.txt", content: () => [repeat("P\n", 50 * MB)] },
  { name: "eight million names", file: "names.txt", content: () => [repeat("P\n", 8 * MB)] },
  { name: "8 GiB, sparse", file: "sparse.txt", content: () => ["P\n", 8 * 2 ** 30] },
  {
    name: "a name that a terminal obeys",
    file: "escape.txt",
    content: () => [HOSTILE_TEXT.repeat(20)],
    mayBeRead: true,
  },
];

export const JSONS: readonly Crafted[] = [
  { name: "brackets nested a million deep", file: "deep.json", content: () => [repeat("[", 1e6)] },
  {
    name: "half a million small arrays",
    file: "arrays.json",
    content: () => [
      `{"a": [${"[],".repeat(3e5)}[]]}`,
    ],
  },
  {
    name: "half a million keys",
    file: "keys.json",
    content: () => [
      `{${Array.from({ length: 9e4 }, (_, i) => `"${i}":0`).join(",")}}`,
    ],
    mayBeRead: true,
  },
  { name: "200 MB of spaces", file: "spaces.json", content: () => [repeat(" ", 200 * MB)] },
  { name: "8 GiB, sparse", file: "sparse.json", content: () => ["{", 8 * 2 ** 30] },
  {
    name: "a string without an end",
    file: "string.json",
    content: () => ['{"a": "', repeat('\\"', 4e5)],
  },
  { name: "half a million quotes", file: "quotes.json", content: () => [repeat('\\"', 5e5)] },
  {
    name: "a number of a million digits",
    file: "number.json",
    content: () => ['{"a": ', repeat("9", 1e6), "}"],
    mayBeRead: true,
  },
  {
    name: "a key that a terminal obeys",
    file: "escape.json",
    content: () => [`{"${HOSTILE_TEXT}": `],
  },
  { name: "no UTF-8", file: "bytes.json", content: () => [new Uint8Array(1e6).fill(0xff)] },
  { name: "no object", file: "list.json", content: () => ["[1, 2, 3]"] },
  {
    name: "a prototype",
    file: "prototype.json",
    content: () => ['{"__proto__": {"a": 1}}'],
    mayBeRead: true,
  },
];
