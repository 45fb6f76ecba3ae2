// Equation: y[n, i] = sin(t[n] * f[i]), y[n, half + i] = cos(t[n] * f[i]) for i < half, or the
//   cosines first if flip; y[n, 2 half] = 0 where dim is odd
// Source: Vaswani et al. 2017, arXiv:1706.03762, as in diffusers' get_timestep_embedding.
// Bindings:
//   timesteps: i32 [N]
//   y: f32 [N, dim]
// Grid: one invocation an output element, folded over x and y.
// Numerics: the argument is rounded to f32 once, as in PyTorch. WGSL's own sine may be off by 5e-4
//   and more for large arguments; so multiples of pi / 2 are taken off in three parts (Cody and
//   Waite), exact up to 8192, and polynomials of Cephes' sinf and cosf end within 2e-7.
// Shapes: any.
// Writes: every output element.

struct Params {
  count: u32,
  dim: u32,
  flip: u32,
}

override WORKGROUP: u32 = 64;
const HALF: u32 = 1u; // @specialize
const FREQUENCIES = array<f32, HALF>(1f); // @specialize

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> timesteps: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// sin(x + quarters * pi / 2)
fn sine(x: f32, quarters: i32) -> f32 {
  let turns = round(x * 0.6366197723675814);
  let r = ((x - turns * 1.5703125) - turns * 4.837512969970703e-4) - turns * 7.549789948768648e-8;
  let r2 = r * r;
  let s = r + r * r2 * (-1.6666654611e-1 + r2 * (8.3321608736e-3 - r2 * 1.9515295891e-4));
  let c = 1.0 - 0.5 * r2 +
    r2 * r2 * (4.166664568298827e-2 + r2 * (-1.388731625493765e-3 + r2 * 2.443315711809948e-5));
  let quadrant = (i32(turns) + quarters) & 3;
  let v = select(s, c, (quadrant & 1) == 1);
  return select(v, -v, quadrant >= 2);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  if (i >= params.count) {
    return;
  }
  let column = i % params.dim;
  var value = 0.0;
  if (column < 2u * HALF) {
    var frequencies = FREQUENCIES;
    let is_second = u32(column >= HALF);
    let x = f32(timesteps[i / params.dim]) * frequencies[column % HALF];
    value = sine(x, i32(is_second ^ params.flip));
  }
  y[i] = value;
}
