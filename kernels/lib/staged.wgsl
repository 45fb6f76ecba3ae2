// Library: reads of tensors that the planner copies into a texture (lib/gpu/staging.ts), 4 floats a
// texel and 2,048 texels a row. On software Vulkan such reads cost a fraction of those of storage
// buffers. Storage textures: they have no mip levels, which the driver would look up in each lane.

/// Floats 4i to 4i + 3 of the tensor.
fn staged(tensor: texture_storage_2d<rgba32float, read>, i: u32) -> vec4<f32> {
  return textureLoad(tensor, vec2(i & 2047, i >> 11));
}

/// Float i of the tensor.
fn staged_float(tensor: texture_storage_2d<rgba32float, read>, i: u32) -> f32 {
  return staged(tensor, i >> 2)[i & 3];
}

/// The same of a tensor of f16: the planner puts these in their places.
fn staged_half(tensor: texture_storage_2d<rgba16float, read>, i: u32) -> vec4<f32> {
  return textureLoad(tensor, vec2(i & 2047, i >> 11));
}

fn staged_half_float(tensor: texture_storage_2d<rgba16float, read>, i: u32) -> f32 {
  return staged_half(tensor, i >> 2)[i & 3];
}
