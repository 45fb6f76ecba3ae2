// Multiply-adds on registers, as fast as the device can: the peak that benchmarks are held against.
//
// Equation: a_i ← a_i * m + c, `rounds` times eight, for eight accumulators that depend on nothing
//   but themselves.
// Source: Berkeley's Empirical Roofline Tool does the same (Lo et al., PMBS 2014).
// Bindings:
//   params: rounds, the factor and the summand
//   y: f32, one vec4 an invocation
// Grid: one invocation a vec4 of y, in rows of workgroups as gridFor lays them out.
// Numerics: f32; with factor 0.5 and summand 0.5 all sums tend to 1, so nothing overflows or turns
//   denormal.
// Shapes: y as long as the invocations; at most 65,535 rounds (Mesa 22.3.6 stops loops there).
// Writes: every element of y.

struct Params {
  rounds: u32,
  factor: f32,
  summand: f32,
}

// One, two or four lanes an accumulator: the fastest differs between devices.
alias Value = vec4<f32>; // @specialize

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (group.y * groups.x + group.x) * WORKGROUP + lane;
  let m = Value(params.factor);
  let c = Value(params.summand);
  let start = f32(lane) * 0.001;
  var a0 = Value(start);
  var a1 = Value(start + 0.1);
  var a2 = Value(start + 0.2);
  var a3 = Value(start + 0.3);
  var a4 = Value(start + 0.4);
  var a5 = Value(start + 0.5);
  var a6 = Value(start + 0.6);
  var a7 = Value(start + 0.7);
  for (var k = 0u; k < params.rounds; k++) {
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
    a0 = a0 * m + c;
    a1 = a1 * m + c;
    a2 = a2 * m + c;
    a3 = a3 * m + c;
    a4 = a4 * m + c;
    a5 = a5 * m + c;
    a6 = a6 * m + c;
    a7 = a7 * m + c;
  }
  let sum = a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7;
  y[i] = vec4(length(sum)); // whatever uses all lanes
}
