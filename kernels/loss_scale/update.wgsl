// Equation: norm = hyper[11] * sqrt(sum of partials) / scale; where it is finite
//   hyper' = hyper, but hyper'[11] = hyper[11] / scale * min(1, most / (norm + 1e-6)) and, with
//   t = steps + 1, hyper'[6] = lr / (1 - b1^t), hyper'[7] = sqrt(1 - b2^t); else hyper'[10] = 0.
//   If hyper[10] != 0: where the norm is finite, steps and growth_tracker go up by one, and when
//   the tracker comes to growth_interval it is set to 0 and the scale multiplied by growth_factor;
//   else the scale is multiplied by backoff_factor, the tracker set to 0, and skipped is raised.
// Source: torch.amp.GradScaler (unscale_, step, update); clipping as in gradient_clip/factor.wgsl;
//   hyper is that of adamw/update.wgsl. t counts the steps that were taken, for a step that is
//   skipped does not reach torch.optim.AdamW either.
// Joins: kernels/lib/summed.wgsl
// Joins: kernels/lib/reduce.wgsl
// Bindings:
//   partials: f32, `count` numbers of gradient_clip/partial.wgsl
//   hyper: f32 [12]; element 10 says whether an optimizer step is due
//   log_betas: f32 [2], the logarithms of b1 and b2
//   adjusted: f32 [12], hyper'
//   norm: f32 [1], of the true gradient before clipping, infinite or NaN if a part of it is
//   state: f32 [4], updated in place: scale, growth_tracker, skipped, steps
// Grid: one workgroup.
// Numerics: f32; a chain a lane, then the lanes as a tree. Infinity and NaN are told by their bits,
//   as compilers may take every number to be finite. The scale does not grow to infinity.
// Shapes: count at most 65,535.
// Writes: every output element.

struct Params {
  count: u32,
  most: f32,
  growth_factor: f32,
  backoff_factor: f32,
  growth_interval: f32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read> log_betas: array<f32>;
@group(0) @binding(4) var<storage, read_write> adjusted: array<f32>;
@group(0) @binding(5) var<storage, read_write> norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> state: array<f32>;

fn is_finite(v: f32) -> bool {
  return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

/// 1 - exp(x) for x <= 0, with a small relative error near 0 as well.
fn one_minus_exp(x: f32) -> f32 {
  // -x (1 + x/2 (1 + x/3 (...))): for |x| < 1/2 the rest is below 2^-26.
  var series = 1.0;
  for (var k = 9.0; k > 1.0; k -= 1.0) {
    series = 1.0 + series * x / k;
  }
  return select(1.0 - exp(x), -x * series, x > -0.5);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += WORKGROUP) {
    sum += partials[i];
  }
  let all = reduce(lane, sum);
  if (lane == 0u) {
    let scale = state[0];
    let tracker = state[1] + 1.0;
    let skipped = state[2];
    let steps = state[3];
    let total = abs(hyper[11]) * sqrt(all) / scale;
    let finite = is_finite(all);
    let due = hyper[10] != 0.0;
    norm[0] = total;
    for (var i = 0u; i < 10u; i++) {
      adjusted[i] = hyper[i];
    }
    let t = steps + 1.0;
    adjusted[6] = hyper[0] / one_minus_exp(t * log_betas[0]);
    adjusted[7] = sqrt(one_minus_exp(t * log_betas[1]));
    adjusted[10] = select(0.0, hyper[10], finite);
    adjusted[11] = hyper[11] / scale * min(1.0, params.most / (total + 1e-6));
    if (due && finite) {
      let grown = scale * params.growth_factor;
      let grows = tracker >= params.growth_interval;
      state[0] = select(scale, grown, grows && is_finite(grown));
      state[1] = select(tracker, 0.0, grows);
      state[3] = t;
    }
    if (due && !finite) {
      state[0] = scale * params.backoff_factor;
      state[1] = 0.0;
      state[2] = skipped + 1.0;
    }
  }
}
