// Library: as texels_as_stored.wgsl, of texels that are normalised and go through SiLU as they are
// read. Outside the image is zero all the same: padding comes after.

@group(0) @binding(6) var coefficients: texture_storage_2d<rgba32float, read>;

/// Mean, factor and offset, as coefficients.wgsl makes them.
alias Channel = vec4<f32>;

/// Of channel c of image n, row = n * C + c.
fn channel_of(row: u32) -> Channel {
  return staged(coefficients, row);
}

fn load_texel(channel: Channel, plane: u32, texel: Texel) -> vec4<f32> {
  let z = (staged(x, plane + texel.at) - channel.x) * channel.y + channel.z;
  return select(vec4(0.0), z / (1.0 + exp(-z)), texel.inside);
}
