// Library: the tensor dy of a kernel, read float by float from a storage buffer.

alias StoredDy = f32; // @specialize

@group(0) @binding(2) var<storage, read> dy: array<StoredDy>;

fn dy_at(i: u32) -> f32 {
  return f32(dy[i]);
}
