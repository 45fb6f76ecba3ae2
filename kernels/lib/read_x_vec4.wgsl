// Library: the tensor x of a kernel, read as vec4 from a storage buffer.

alias StoredX = vec4<f32>; // @specialize

@group(0) @binding(1) var<storage, read> x: array<StoredX>;

fn x_at(i: u32) -> vec4<f32> {
  return vec4<f32>(x[i]);
}
