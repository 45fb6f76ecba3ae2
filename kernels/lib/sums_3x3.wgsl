// Library: gradients of 3×3 kernels of four input channels as nine vec4; joined in front of kernels
// that bind partial.

/// Of one output and one input channel, by kernel row.
struct Sums {
  top: vec3<f32>,
  middle: vec3<f32>,
  bottom: vec3<f32>,
}

fn store(at: u32, s0: Sums, s1: Sums, s2: Sums, s3: Sums) {
  partial[at] = vec4(s0.top, s0.middle.x);
  partial[at + 1] = vec4(s0.middle.yz, s0.bottom.xy);
  partial[at + 2] = vec4(s0.bottom.z, s1.top);
  partial[at + 3] = vec4(s1.middle, s1.bottom.x);
  partial[at + 4] = vec4(s1.bottom.yz, s2.top.xy);
  partial[at + 5] = vec4(s2.top.z, s2.middle);
  partial[at + 6] = vec4(s2.bottom, s3.top.x);
  partial[at + 7] = vec4(s3.top.yz, s3.middle.xy);
  partial[at + 8] = vec4(s3.middle.z, s3.bottom);
}
