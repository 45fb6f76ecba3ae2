/** Numeric probes: their references are right, their verdicts follow the bits, a device has all. */

import assert from "node:assert/strict";
import { openGpu } from "../../lib/gpu/device.ts";
import { floatOf, fma, ulpOf, wordOf } from "../../lib/probes/float.ts";
import {
  differingProbes,
  digestsOf,
  fingerprintOf,
  judge,
  probeDevice,
} from "../../lib/probes/mod.ts";
import { F16_PROBES, F32_PROBES, type Probe } from "../../lib/probes/probes.ts";
import { PhiloxStream } from "../../lib/random/philox.ts";

const SAMPLES = 1024;

function operands(probe: Probe): Uint32Array {
  const stream = new PhiloxStream(7, 0);
  const x = new Uint32Array(4 * SAMPLES);
  for (let i = 0; i < SAMPLES; i++) {
    probe.operands(() => stream.nextUint32() / 2 ** 32, i)
      .forEach((word, k) => x[k * SAMPLES + i] = word);
  }
  return x;
}

/** a·b + c of whole numbers, rounded once, by whole numbers of any size. */
function exactFma(a: number, b: number, c: number): number {
  const scale = 2 ** 60; // makes every operand below whole
  const whole = (v: number) => BigInt(v * 2 ** 30);
  const sum = whole(a) * whole(b) + BigInt(c * scale);
  if (sum === 0n) return 0;
  const magnitude = sum < 0n ? -sum : sum;
  const drop = Math.max(0, magnitude.toString(2).length - 24);
  const unit = 1n << BigInt(drop);
  let kept = magnitude / unit;
  const rest = 2n * (magnitude % unit);
  if (rest > unit || (rest === unit && kept % 2n === 1n)) kept++;
  const value = Number(kept) * 2 ** drop / scale;
  return sum < 0n ? -value : value;
}

Deno.test("fma rounds once; ULPs are the distances between float32 numbers", () => {
  const stream = new PhiloxStream(3, 0);
  const draw = () =>
    Math.fround((stream.nextUint32() / 2 ** 31 - 1) * 2 ** (stream.nextUint32() % 4));
  let fused = 0;
  for (let i = 0; i < 2000; i++) {
    // Whole multiples of 2^-30.
    const [a, b] = [draw(), draw()].map((v) => Math.round(v * 2 ** 20) / 2 ** 20);
    const c = i % 2 ? -Math.fround(a * b) : Math.round(draw() * 2 ** 20) / 2 ** 20;
    assert.equal(fma(a, b, c), exactFma(a, b, c), `${a} ${b} ${c}`);
    if (fma(a, b, c) !== Math.fround(Math.fround(a * b) + c)) fused++;
  }
  assert.ok(fused > 500, "the cases tell one rounding from two");
  for (const value of [1, 1.5, 3e-38, 1e30, 2 ** -126, 1e-40]) {
    const near = Math.fround(value);
    assert.equal(floatOf(wordOf(near) + 1) - near, ulpOf(near));
  }
});

Deno.test("each verdict follows from the bits, and one bit more is another digest", () => {
  for (const probe of [...F32_PROBES, ...F16_PROBES]) {
    const x = operands(probe);
    const value = (k: number, i: number) => {
      const word = x[k * SAMPLES + i];
      return probe.ofWords ? word : floatOf(word);
    };
    const results = (f: NonNullable<Probe["readings"]>[string]) =>
      Uint32Array.from(
        { length: SAMPLES },
        (_, i) => f(value(0, i), value(1, i), value(2, i), value(3, i)),
      );
    if (probe.readings) {
      for (const [label, reading] of Object.entries(probe.readings)) {
        assert.equal(judge(probe, x, results(reading)).verdict, label, probe.name);
      }
    }
    const first = probe.readings
      ? Object.values(probe.readings)[0]
      : (a: number, b: number) => wordOf(probe.exact!(a, b));
    const y = results(first);
    const right = judge(probe, x, y);
    assert.ok(right.allowed, probe.name);
    if (probe.exact) assert.ok(right.ulp! <= 0.5, probe.name);
    y[501] ^= 1;
    assert.notEqual(judge(probe, x, y).digest, right.digest, probe.name);
    y[501] ^= 0x40000000; // far off
    assert.equal(judge(probe, x, y).allowed, !probe.readings && !probe.allowed, probe.name);
  }
});

Deno.test("a device has one fingerprint; another one's differences have names", async () => {
  const gpu = await openGpu();
  const report = await probeDevice(gpu);
  assert.deepEqual(await probeDevice(gpu), report);
  gpu.destroy();
  assert.ok(report.probes.length >= 30);
  for (const { name, allowed, verdict } of report.probes) assert.ok(allowed, `${name}: ${verdict}`);
  const digests = digestsOf(report);
  assert.equal(fingerprintOf(digests), report.fingerprint);
  assert.deepEqual(differingProbes(digests, digests), []);
  const fewer: Record<string, string> = { ...digests, log: "0".repeat(16) };
  delete fewer.exp;
  assert.deepEqual(differingProbes(digests, fewer), ["exp", "log"]);
  assert.notEqual(fingerprintOf(fewer), report.fingerprint);
});
