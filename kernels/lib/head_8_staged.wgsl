// Library: heads of 8 channels in textures; joined after staged.wgsl and head_8.wgsl. `n` is a
// channel's length in vec4.

@group(0) @binding(1) var q: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var k: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var v: texture_storage_2d<rgba32float, read>;

fn load_q(at: u32, n: u32) -> Head {
  return Head(
    staged(q, at),
    staged(q, at + n),
    staged(q, at + 2 * n),
    staged(q, at + 3 * n),
    staged(q, at + 4 * n),
    staged(q, at + 5 * n),
    staged(q, at + 6 * n),
    staged(q, at + 7 * n),
  );
}

fn load_k(at: u32, n: u32) -> Head {
  return Head(
    staged(k, at),
    staged(k, at + n),
    staged(k, at + 2 * n),
    staged(k, at + 3 * n),
    staged(k, at + 4 * n),
    staged(k, at + 5 * n),
    staged(k, at + 6 * n),
    staged(k, at + 7 * n),
  );
}

fn load_v(at: u32, n: u32) -> Head {
  return Head(
    staged(v, at),
    staged(v, at + n),
    staged(v, at + 2 * n),
    staged(v, at + 3 * n),
    staged(v, at + 4 * n),
    staged(v, at + 5 * n),
    staged(v, at + 6 * n),
    staged(v, at + 7 * n),
  );
}
