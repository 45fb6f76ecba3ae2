// Library: the tensor dy of a kernel, read as vec4 from a texture; joined after staged.wgsl.

@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;

fn dy_at(i: u32) -> vec4<f32> {
  return staged(dy, i);
}
