// Library: texels of row_texels.wgsl as they are stored; joined after it.

/// What the texels of a channel have in common.
alias Channel = u32;

fn channel_of(row: u32) -> Channel {
  return row;
}

fn load_texel(_channel: Channel, plane: u32, texel: Texel) -> vec4<f32> {
  return select(vec4(0.0), staged(x, plane + texel.at), texel.inside);
}
