// Library: queries, keys and values of a kernel, read as vec4 from textures; joined after
// staged.wgsl.

@group(0) @binding(1) var q: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var k: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var v: texture_storage_2d<rgba32float, read>;

fn q_at(i: u32) -> vec4<f32> {
  return staged(q, i);
}

fn k_at(i: u32) -> vec4<f32> {
  return staged(k, i);
}

fn v_at(i: u32) -> vec4<f32> {
  return staged(v, i);
}
