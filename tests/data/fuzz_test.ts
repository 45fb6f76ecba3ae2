/** Damaged files: a short, seeded part of `deno task fuzz`, and damage made by hand. */

import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import { parseHeader } from "../../lib/data/dicom/header.ts";
import { encodeElements, join } from "../../lib/data/dicom_write/element.ts";
import { mutate } from "../../lib/data/fuzz/mutate.ts";
import { probe, TARGETS } from "../../lib/data/fuzz/targets.ts";
import { parseLidcXml } from "../../lib/data/lidc/xml.ts";
import { InputError } from "../../lib/errors.ts";
import { FIXTURES } from "./shared_ct.ts";

const files = ["dicom", "nifti", "lidc", "volumes", "objects"].flatMap((folder) =>
  [...Deno.readDirSync(`${FIXTURES}/${folder}`)].map((e) => `${FIXTURES}/${folder}/${e.name}`)
).filter((path) => TARGETS[path.slice(path.lastIndexOf(".") + 1)] && !path.endsWith(".raw.gz"))
  .sort();

Deno.test("undamaged fixtures are read by their readers", async () => {
  for (const path of files) {
    const target = TARGETS[path.slice(path.lastIndexOf(".") + 1)];
    const { refused, problem } = await probe(target, Deno.readFileSync(path), path, 10);
    assert.deepEqual([refused, problem], [false, null], path);
  }
});

Deno.test("600 damaged files: each read or refused by an InputError naming it", async () => {
  for (let number = 0; number < 600; number++) {
    const path = files[number % files.length];
    const ending = path.slice(path.lastIndexOf(".") + 1), name = `fuzz-${number}.${ending}`;
    const bytes = mutate(Deno.readFileSync(path), 1, number);
    const { problem } = await probe(TARGETS[ending], bytes, name, 2);
    assert.equal(problem, null, `${name} of ${path}`);
  }
});

const preamble = new Uint8Array(132);
preamble.set(new TextEncoder().encode("DICM"), 128);
const file = (syntax: string, data: Uint8Array) => {
  const meta = encodeElements([[0x00020010, "UI", syntax]]);
  return join([preamble, encodeElements([[0x00020000, "UL", meta.length]]), meta, data]);
};

Deno.test("a deflate bomb is refused before it fills the memory", () => {
  const before = Deno.memoryUsage().rss;
  const bomb = deflateRawSync(new Uint8Array(2 ** 29), { level: 1 });
  assert.throws(
    () => parseHeader(file("1.2.840.10008.1.2.1.99", bomb), "bomb.dcm"),
    (error: Error) => error instanceof InputError && error.message.includes("bomb.dcm"),
  );
  assert.ok(Deno.memoryUsage().rss - before < 2 ** 30);
});

Deno.test("sequences nested a hundred thousand deep are refused", () => {
  // Item (FFFE,E000) of undefined length, then a sequence of undefined length, again and again.
  const level = new Uint8Array([
    ...[0x08, 0x00, 0x12, 0x21, 0x53, 0x51, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ...[0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff],
  ]);
  const deep = new Uint8Array(level.length * 100_000);
  for (let i = 0; i < 100_000; i++) deep.set(level, i * level.length);
  assert.throws(
    () => parseHeader(file("1.2.840.10008.1.2.1", deep), "deep.dcm"),
    (error: Error) => error instanceof InputError && error.message.includes("deep.dcm"),
  );
});

Deno.test("XML nested a hundred thousand deep is refused", () => {
  const text = `<LidcReadMessage>${"<a>".repeat(100_000)}${
    "</a>".repeat(100_000)
  }</LidcReadMessage>`;
  assert.throws(
    () => parseLidcXml(new TextEncoder().encode(text), "deep.xml"),
    (error: Error) => error instanceof InputError && error.message.includes("deep.xml"),
  );
});
