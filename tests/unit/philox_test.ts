import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { philox4x32, PhiloxStream } from "../../lib/random/philox.ts";

const words = (text: string) => text.split(" ").map((word) => parseInt(word, 16));

// Random123, tests/kat_vectors, lines "philox4x32 10": counter, key, block.
const KNOWN = [
  [
    "00000000 00000000 00000000 00000000",
    "00000000 00000000",
    "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
  ],
  [
    "ffffffff ffffffff ffffffff ffffffff",
    "ffffffff ffffffff",
    "408f276d 41c83b0e a20bc7c6 6d5451fd",
  ],
  [
    "243f6a88 85a308d3 13198a2e 03707344",
    "a4093822 299f31d0",
    "d16cfe09 94fdcceb 5001e420 24126ea1",
  ],
];

Deno.test("philox4x32-10 gives Random123's known answers", () => {
  for (const [counter, key, block] of KNOWN) {
    assert.deepEqual([...philox4x32(words(counter), words(key))], words(block));
  }
});

Deno.test("a stream hands out the words of blocks 0, 1, … in order", () => {
  const random = new PhiloxStream(0);
  assert.deepEqual(Array.from({ length: 4 }, () => random.nextUint32()), words(KNOWN[0][2]));
  const next = philox4x32([1, 0, 0, 0], [0, 0]);
  assert.deepEqual(Array.from({ length: 4 }, () => random.nextUint32()), [...next]);
  const other = new PhiloxStream(0xa4093822n | 0x299f31d0n << 32n, 5 * 2 ** 32 + 7);
  assert.equal(other.nextUint32(), philox4x32([0, 0, 7, 5], words(KNOWN[2][1]))[0]);
});

Deno.test("uniforms and normals have the moments they should", () => {
  const random = new PhiloxStream(3, 1), n = 40_000;
  let sum = 0, normalSum = 0, squares = 0, fourth = 0;
  for (let i = 0; i < n; i++) {
    const u = random.uniform(), z = random.normal();
    assert.ok(u > 0 && u < 1);
    sum += u;
    normalSum += z;
    squares += z * z;
    fourth += z ** 4;
  }
  assert.ok(Math.abs(sum / n - 0.5) < 0.006);
  assert.ok(Math.abs(normalSum / n) < 0.02);
  assert.ok(Math.abs(squares / n - 1) < 0.03);
  assert.ok(Math.abs(fourth / n - 3) < 0.2);
});

Deno.test("integers cover their range evenly and shuffles permute", () => {
  const random = new PhiloxStream(11), counts = new Array(7).fill(0);
  for (let i = 0; i < 14_000; i++) counts[random.int(7)]++;
  for (const count of counts) assert.ok(Math.abs(count - 2000) < 200, counts.join());
  assert.equal(random.int(1), 0);
  assert.throws(() => random.int(0));
  const items = random.shuffle(Array.from({ length: 50 }, (_, i) => i));
  assert.notDeepEqual(items.slice(0, 5), [0, 1, 2, 3, 4]);
  assert.deepEqual(items.sort((a, b) => a - b), Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("a restored stream continues exactly, through JSON", () => {
  const random = new PhiloxStream(-5, 9);
  for (let skipped = 0; skipped < 6; skipped++) {
    random.normal();
    const copy = new PhiloxStream(-5, 9);
    copy.restore(JSON.parse(JSON.stringify(random.state())));
    const draw = (r: PhiloxStream) => [r.normal(), r.nextUint32(), r.normal(), r.uniform()];
    assert.deepEqual(draw(copy), draw(random));
  }
  assert.throws(() => new PhiloxStream(1).restore(random.state()), InputError);
  assert.throws(
    () => new PhiloxStream(-5, 9).restore({ ...random.state(), drawn: 0.5 }),
    InputError,
  );
  assert.throws(() => new PhiloxStream(0.5), InputError);
});

Deno.test("a stream restored after any number of words, none too, goes on with the next", () => {
  for (let drawn = 0; drawn < 9; drawn++) {
    const random = new PhiloxStream(4, 2), copy = new PhiloxStream(4, 2);
    for (let i = 0; i < drawn; i++) random.nextUint32();
    copy.restore(random.state());
    assert.equal(copy.nextUint32(), random.nextUint32(), `after ${drawn}`);
  }
  const { seed, stream } = new PhiloxStream(4, 2).state();
  for (const [drawn, spare] of [[-1, null], [NaN, null], [2, NaN], [2 ** 53, null]] as const) {
    assert.throws(
      () => new PhiloxStream(4, 2).restore({ seed, stream, drawn, spare }),
      InputError,
    );
  }
});

Deno.test("integers: words of an incomplete last cycle are drawn again; all 2^32 may be asked for", () => {
  const [, second, third] = words(KNOWN[0][2]);
  const after = (count: number) => {
    const random = new PhiloxStream(0);
    for (let i = 0; i < count; i++) random.nextUint32();
    return random;
  };
  // Above 2^31 there is one whole cycle: a word that is n itself begins the next.
  assert.equal(after(1).int(second), third);
  assert.equal(after(1).int(second + 1), second);
  assert.equal(after(1).int(2 ** 32), second);
  for (const n of [2 ** 32 + 1, 0, -1, 1.5, NaN]) assert.throws(() => after(0).int(n), /in \[1, 2/);
});

Deno.test("a shuffle gives each order of three items as often", () => {
  const random = new PhiloxStream(8), counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const order = random.shuffle([0, 1, 2]).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  assert.equal(counts.size, 6);
  // Binomial of 6000 and 1/6: a deviation of 29, five of them.
  for (const [order, count] of counts) {
    assert.ok(Math.abs(count - 1000) < 145, `${order}: ${count}`);
  }
});

Deno.test("a range is from low to high", () => {
  const random = new PhiloxStream(8), plain = new PhiloxStream(8);
  for (let i = 0; i < 20; i++) assert.equal(random.range(-3, 5), -3 + 8 * plain.uniform());
});
