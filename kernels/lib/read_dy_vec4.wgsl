// Library: the tensor dy of a kernel, read as vec4 from a storage buffer.

@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;

fn dy_at(i: u32) -> vec4<f32> {
  return dy[i];
}
