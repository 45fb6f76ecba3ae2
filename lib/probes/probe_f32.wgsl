// Equation: y[probe, i] = f(a, b, c, d), f by the number of the probe, (a, b, c, d) = x[probe, :, i]
// Source: one expression a case, as kernels write them: what compiler, driver and chip make of it shows
//   in the bits of y. References and verdicts are in probes.ts, by the same numbers.
// Bindings:
//   x: words [probes, 4, SAMPLES], the bits of f32, i32 or u32
//   y: words [probes, SAMPLES]
// Grid: one invocation a sample in x, one probe a row in y.
// Numerics: the point of it.
// Shapes: as above.
// Writes: every output element.

override WORKGROUP: u32 = 64u;

const SAMPLES = 1024u;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

fn word(value: f32) -> u32 {
  return bitcast<u32>(value);
}

fn probe(number: u32, wa: u32, wb: u32, wc: u32, wd: u32) -> u32 {
  let a = bitcast<f32>(wa);
  let b = bitcast<f32>(wb);
  let c = bitcast<f32>(wc);
  let d = bitcast<f32>(wd);
  switch number {
    // Rounding of the basic operations.
    case 0u { return word(a + b); }
    case 1u { return word(a - b); }
    case 2u { return word(a * b); }
    case 3u { return word(a / b); }
    case 4u { return word(1.0 / a); }
    case 5u { return word(sqrt(a)); }
    case 6u { return word(inverseSqrt(a)); }
    // Functions.
    case 7u { return word(exp(a)); }
    case 8u { return word(exp2(a)); }
    case 9u { return word(log(a)); }
    case 10u { return word(log2(a)); }
    case 11u { return word(sin(a)); }
    case 12u { return word(cos(a)); }
    case 13u { return word(1.0 / (1.0 + exp(-a))); }
    // Are two operations made one?
    case 14u { return word(a * b + c); }
    case 15u { return word(a * b - c * d); }
    case 16u { return word(fma(a, b, c)); }
    case 17u { return word(dot(vec4(a, b, c, d), vec4(d, a, b, c))); }
    // Are sums made in the order as written?
    case 18u { return word(a + b + c + d); }
    case 19u { return word((a + b) - b); }
    case 20u { return word((a * b) / b); }
    case 21u {
      var sum = 0.0;
      for (var i = 0u; i < 16u; i++) {
        sum += a * f32(i) + select(b, c, (i & 1u) == 1u);
      }
      return word(sum);
    }
    // Subnormal numbers: kept, or taken for zero?
    case 22u { return word(a * 1073741824.0); }
    case 23u { return word(a * 9.313225746154785e-10); }
    case 24u { return word(a + b); }
    // Conversions.
    case 25u { return word(f32(bitcast<i32>(wa))); }
    case 26u { return word(f32(wa)); }
    case 27u { return bitcast<u32>(i32(a)); }
    case 28u { return u32(a); }
    case 29u { return word(round(a)); }
    case 30u { return word(quantizeToF16(a)); }
    case 31u { return pack2x16float(vec2(a, b)); }
    // Infinities, NaN and the sign of zero.
    case 32u { return word(a * b); }
    case 33u { return word(a / b); }
    case 34u { return word(max(a, b)); }
    case 35u { return select(0u, 1u, a == a) + select(0u, 2u, a < b) + select(0u, 4u, a != b); }
    case 36u { return word(clamp(a, -1.0, 1.0)); }
    case 37u { return word(-a * 0.0); }
    default { return 0u; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  let at = id.y * 4u * SAMPLES + i;
  y[id.y * SAMPLES + i] =
    probe(id.y, x[at], x[at + SAMPLES], x[at + 2u * SAMPLES], x[at + 3u * SAMPLES]);
}
