// Library: the tensor dy of a kernel, read as vec4 from a storage buffer.

alias StoredDy = vec4<f32>; // @specialize

@group(0) @binding(2) var<storage, read> dy: array<StoredDy>;

fn dy_at(i: u32) -> vec4<f32> {
  return vec4<f32>(dy[i]);
}
