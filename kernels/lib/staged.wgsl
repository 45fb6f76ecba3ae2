// Library: reads of tensors that the planner copies into a texture (lib/gpu/staging.ts), 4 floats a
// texel and 2,048 texels a row. On software Vulkan such reads are ten times faster than those of
// storage buffers.

/// Floats 4i to 4i + 3 of the tensor.
fn staged(tensor: texture_2d<f32>, i: u32) -> vec4<f32> {
  return textureLoad(tensor, vec2(i & 2047, i >> 11), 0);
}

/// Float i of the tensor.
fn staged_float(tensor: texture_2d<f32>, i: u32) -> f32 {
  return staged(tensor, i >> 2)[i & 3];
}
