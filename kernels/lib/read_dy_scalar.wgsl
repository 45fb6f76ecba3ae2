// Library: the tensor dy of a kernel, read float by float from a storage buffer.

@group(0) @binding(2) var<storage, read> dy: array<f32>;

fn dy_at(i: u32) -> f32 {
  return dy[i];
}
