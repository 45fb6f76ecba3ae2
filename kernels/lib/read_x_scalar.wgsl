// Library: the tensor x of a kernel, read float by float from a storage buffer.

alias StoredX = f32; // @specialize

@group(0) @binding(1) var<storage, read> x: array<StoredX>;

fn x_at(i: u32) -> f32 {
  return f32(x[i]);
}
