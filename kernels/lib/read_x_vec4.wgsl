// Library: the tensor x of a kernel, read as vec4 from a storage buffer.

@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;

fn x_at(i: u32) -> vec4<f32> {
  return x[i];
}
