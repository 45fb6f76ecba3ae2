// Library: the tensor x of a kernel, read float by float from a storage buffer.

@group(0) @binding(1) var<storage, read> x: array<f32>;

fn x_at(i: u32) -> f32 {
  return x[i];
}
