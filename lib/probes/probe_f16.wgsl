enable f16;

// Equation: y[probe, i] = f(a, b, c) in f16, f by the number of the probe, (a, b, c) = x[probe, 0:3, i]
// Source: as probe_f32.wgsl, of devices that have shader-f16.
// Bindings:
//   x: words [probes, 4, SAMPLES], the bits of f32
//   y: words [probes, SAMPLES], the bits of f32
// Grid: one invocation a sample in x, one probe a row in y.
// Numerics: the point of it.
// Shapes: as above.
// Writes: every output element.

override WORKGROUP: u32 = 64u;

const SAMPLES = 1024u;

@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;

fn probe(number: u32, wide: vec3<f32>) -> f16 {
  let a = f16(wide.x);
  let b = f16(wide.y);
  let c = f16(wide.z);
  switch number {
    case 0u { return a; }
    case 1u { return a + b; }
    case 2u { return a * b; }
    case 3u { return a * b + c; }
    case 4u { return a * f16(0.0625); }
    default { return f16(0.0); }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  let at = id.y * 4u * SAMPLES + i;
  let wide = bitcast<vec3<f32>>(vec3(x[at], x[at + SAMPLES], x[at + 2u * SAMPLES]));
  y[id.y * SAMPLES + i] = bitcast<u32>(f32(probe(id.y, wide)));
}
