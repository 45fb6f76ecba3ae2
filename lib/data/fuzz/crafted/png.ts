/** PNG files that inflate without an end, or have more chunks than pixels. */

import { crc32, deflateSync } from "node:zlib";
import { type Content, type Crafted, deflateBomb, repeat, text, u32 } from "./crafted.ts";

const SIGNATURE = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

function chunk(type: string, ...parts: Uint8Array[]): Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  let crc = crc32(type);
  for (const part of parts) crc = crc32(part, crc);
  return [u32(length, false), text(type), ...parts, u32(crc, false)];
}

function header(width: number, height: number, depth = 8, colour = 0, interlace = 0) {
  const tail = new Uint8Array([depth, colour, 0, 0, interlace]);
  return chunk("IHDR", u32(width, false), u32(height, false), tail);
}

const ZLIB = new Uint8Array([0x78, 0x01]);
const END = chunk("IEND");
const pixels = (width: number, height: number) =>
  chunk("IDAT", deflateSync(new Uint8Array((width + 1) * height)));
const file = (...parts: Uint8Array[][]): Content => [SIGNATURE, ...parts.flat()];

/** The same small chunk again and again. */
function many(times: number, type: string, data: Uint8Array): Uint8Array {
  const parts = chunk(type, data), one = new Uint8Array(12 + data.length);
  let at = 0;
  for (const part of parts) {
    one.set(part, at);
    at += part.length;
  }
  const out = new Uint8Array(one.length * times);
  for (let i = 0; i < times; i++) out.set(one, i * one.length);
  return out;
}

export const PNG: readonly Crafted[] = [
  {
    name: "IDAT that inflates to 4 GiB without an end",
    file: "idat_bomb.png",
    content: () => file(header(64, 64), chunk("IDAT", ZLIB, ...deflateBomb(4096)), END),
  },
  {
    name: "interlaced IDAT that inflates to 4 GiB",
    file: "interlaced_bomb.png",
    content: () => file(header(64, 64, 8, 0, 1), chunk("IDAT", ZLIB, ...deflateBomb(4096)), END),
  },
  {
    name: "iCCP that inflates to 4 GiB without an end",
    file: "iccp_bomb.png",
    content: () =>
      file(
        header(64, 64),
        chunk("iCCP", text("p\0\0"), ZLIB, ...deflateBomb(4096)),
        pixels(64, 64),
        END,
      ),
    mayBeRead: true,
  },
  {
    name: "zTXt and iTXt that inflate to 4 GiB",
    file: "text_bomb.png",
    content: () =>
      file(
        header(64, 64),
        chunk("zTXt", text("k\0\0"), ZLIB, ...deflateBomb(4096)),
        chunk("iTXt", text("k\0\x01\0\0\0"), ZLIB, ...deflateBomb(4096)),
        pixels(64, 64),
        END,
      ),
    mayBeRead: true,
  },
  {
    name: "PLTE of 150 MB",
    file: "plte.png",
    content: () => [
      ...file(header(64, 64)),
      ...[u32(150_000_000, false), text("PLTE"), 150_000_000, u32(0)],
      ...[...pixels(64, 64), ...END],
    ],
  },
  {
    name: "PLTE of 60 MB",
    file: "plte_less.png",
    content: () => [
      ...file(header(64, 64, 8, 2)),
      ...[u32(60_000_000, false), text("PLTE"), 60_000_000, u32(0)],
      ...[...chunk("IDAT", deflateSync(new Uint8Array(64 * 193))), ...END],
    ],
    mayBeRead: true,
  },
  {
    name: "five million empty IDAT",
    file: "empty_idat.png",
    content: () =>
      file(header(64, 64), [many(5_000_000, "IDAT", new Uint8Array(0))], pixels(64, 64), END),
  },
  {
    name: "four million IDAT of one byte",
    file: "tiny_idat.png",
    content: () => file(header(64, 64), [many(4_000_000, "IDAT", new Uint8Array(1))], END),
  },
  {
    name: "two million tEXt",
    file: "texts.png",
    content: () =>
      file(header(64, 64), [many(2_000_000, "tEXt", text("k\0v"))], pixels(64, 64), END),
  },
  {
    name: "tEXt of 40 MB",
    file: "long_text.png",
    content: () =>
      file(header(64, 64), chunk("tEXt", text("k\0"), repeat("x", 4e7)), pixels(64, 64), END),
  },
  {
    name: "four billion pixels a side",
    file: "sides.png",
    content: () => file(header(2 ** 32 - 1, 2 ** 32 - 1), pixels(4, 4), END),
  },
  {
    name: "4096² RGB of 16 bits out of 98 kB",
    file: "rgb16.png",
    content: () => file(header(4096, 4096, 16, 2), chunk("IDAT", ZLIB, ...deflateBomb(96)), END),
  },
  {
    name: "4096² RGB of 8 bits out of 49 kB",
    file: "rgb8.png",
    content: () => file(header(4096, 4096, 8, 2), chunk("IDAT", ZLIB, ...deflateBomb(48)), END),
  },
  {
    name: "4096² RGB, all there, out of 49 kB",
    file: "black.png",
    content: () =>
      file(
        header(4096, 4096, 8, 2),
        chunk("IDAT", deflateSync(new Uint8Array((4096 * 3 + 1) * 4096), { level: 1 })),
        END,
      ),
    mayBeRead: true,
  },
  {
    name: "16,777,216 rows of one pixel",
    file: "rows.png",
    content: () =>
      file(header(1, 2 ** 24), chunk("IDAT", deflateSync(new Uint8Array(2 ** 25))), END),
    mayBeRead: true,
  },
  {
    name: "a chunk of 4 GiB in a file of 100 bytes",
    file: "long_chunk.png",
    content: () => file(header(64, 64), [u32(2 ** 32 - 1, false), text("IDAT")], pixels(4, 4)),
  },
];
