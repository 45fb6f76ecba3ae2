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

/// v as f16, rounded to nearest, NaN as infinity: the planner puts it where a `Stored` of f16 is
/// made. A third of the work of the driver's own conversion, which branches.
fn half_words(v: vec4<f32>) -> vec2<u32> {
  let size = bitcast<vec4<i32>>(abs(v));
  // Exponents count from 15, not 127; half of the last place goes up; the most is infinity.
  let normal = min((size - vec4(0x37fff000)) >> vec4(13u), vec4(0x7c00));
  // Below 2^-14 the places are those of 0.5 as f32.
  let small = bitcast<vec4<i32>>(abs(v) + 0.5) - vec4(0x3f000000);
  let half = bitcast<vec4<u32>>(select(normal, small, size < vec4(0x38800000)));
  let sign = bitcast<vec4<u32>>(v) & vec4(0x80000000u);
  return half.xz | (sign.xz >> vec2(16u)) | (half.yw << vec2(16u)) | sign.yw;
}

fn staged_half_float(tensor: texture_storage_2d<rgba16float, read>, i: u32) -> f32 {
  return staged_half(tensor, i >> 2)[i & 3];
}
