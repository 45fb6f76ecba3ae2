// Library: the tensor x of a kernel, read as vec4 from a texture; joined after staged.wgsl.

@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>;

fn x_at(i: u32) -> vec4<f32> {
  return staged(x, i);
}
