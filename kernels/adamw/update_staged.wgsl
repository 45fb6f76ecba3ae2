// Equation: m' = b1 m + (1 - b1) g, v' = b2 v + (1 - b2) g^2,
//   p' = (1 - lr wd) p - (lr / (1 - b1^t)) m' / (sqrt(v') / sqrt(1 - b2^t) + eps),
//   ema' = ema + (1 - decay) (p' - ema)
//   where hyper.apply = 0, only ema changes (a micro-batch that does not end an optimizer step)
// Source: Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW (single tensor form).
// Joins: kernels/lib/staged.wgsl
// Joins: kernels/lib/stores_four.wgsl
// Bindings:
//   g: f32 [n], the gradient, staged
//   hyper: f32 [12]: lr, 1 - b1, b2, 1 - b2, eps, 1 - lr wd, lr / (1 - b1^t), sqrt(1 - b2^t),
//     unused, 1 - decay, apply, gradient factor (clipping, loss scale)
//   p_before, m_before, v_before, ema_before: f32 [n], staged
//   p, m, v, ema: f32 [n], the same buffers, written as vec4
// Grid: one invocation per 4 elements, folded over x and y.
// Numerics: f32; m' = m + (1 - b1)(g - m), as torch's lerp, and ema alike, which loses least of a
//   small change; bias corrections come from float64.
// Shapes: any; padding is updated along with the rest and stays zero.
// Writes: every output element.

struct Params {
  count4: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var g: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<uniform> hyper: array<vec4<f32>, 3>;
@group(0) @binding(3) var p_before: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var m_before: texture_storage_2d<rgba32float, read>;
@group(0) @binding(5) var v_before: texture_storage_2d<rgba32float, read>;
@group(0) @binding(6) var ema_before: texture_storage_2d<rgba32float, read>;
@group(0) @binding(7) var<storage, read_write> p: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read_write> ema: array<vec4<f32>>;

fn put(at: u32, weight: vec4<f32>, first: vec4<f32>, second: vec4<f32>, average: vec4<f32>) {
  p[at] = weight;
  m[at] = first;
  v[at] = second;
  ema[at] = average;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) wid: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let i = (wid.y * groups.x + wid.x) * WORKGROUP + lane;
  let rates = hyper[0];
  let steps = hyper[1];
  let rest = hyper[2];
  let gradient = staged(g, i) * rest.w;
  let m_old = staged(m_before, i);
  let v_old = staged(v_before, i);
  let p_old = staged(p_before, i);
  let m_new = m_old + rates.y * (gradient - m_old);
  let v_new = rates.z * v_old + rates.w * gradient * gradient;
  let p_new = p_old * steps.y - steps.z * m_new / (sqrt(v_new) / steps.w + steps.x);
  // No branch: Mesa would compile one on a uniform anew for every dispatch, its value inlined.
  let applies = rest.z != 0.0;
  let weight = select(p_old, p_new, applies);
  let average = staged(ema_before, i);
  put_all(
    lane,
    i < params.count4,
    i,
    weight,
    select(m_old, m_new, applies),
    select(v_old, v_new, applies),
    average + rest.y * (weight - average),
  );
}
