// Library: queries, keys and values of a kernel, read as vec4 from storage buffers.

@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> v: array<vec4<f32>>;

fn q_at(i: u32) -> vec4<f32> {
  return q[i];
}

fn k_at(i: u32) -> vec4<f32> {
  return k[i];
}

fn v_at(i: u32) -> vec4<f32> {
  return v[i];
}
