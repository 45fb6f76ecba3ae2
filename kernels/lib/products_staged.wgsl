// Library: what Winograd's transform of the output reads, from textures; joined after staged.wgsl.

@group(0) @binding(1) var m: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var extra: texture_storage_2d<rgba32float, read>;

fn product_at(i: u32) -> vec4<f32> {
  return staged(m, i);
}

fn extra_at(i: u32) -> vec4<f32> {
  return staged(extra, i);
}
