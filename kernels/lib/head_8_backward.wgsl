// Library: queries as attention's backward pass knows them; joined after head_8.wgsl.

/// Four queries, the gradients of their outputs, log2 of their sums of exponentials, and delta.
struct Queries {
  q: Head,
  dy: Head,
  total: vec4<f32>,
  mean: vec4<f32>,
}
