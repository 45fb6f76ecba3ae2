// Library: what Winograd's transform of the output reads, from storage buffers; extra is stored as
// the output is.

@group(0) @binding(1) var<storage, read> m: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> extra: array<Stored>;

fn product_at(i: u32) -> vec4<f32> {
  return m[i];
}

fn extra_at(i: u32) -> vec4<f32> {
  return vec4<f32>(extra[i]);
}
