// Library: texels that a subgroup of eight holds, one in each invocation, for all of them.

/// Four of them, one after the other.
struct Texels {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

/// Those of lanes 0 to 3.
fn low_texels(v: vec4<f32>) -> Texels {
  return Texels(
    subgroupBroadcast(v, 0u),
    subgroupBroadcast(v, 1u),
    subgroupBroadcast(v, 2u),
    subgroupBroadcast(v, 3u),
  );
}

/// Those of lanes 4 to 7.
fn high_texels(v: vec4<f32>) -> Texels {
  return Texels(
    subgroupBroadcast(v, 4u),
    subgroupBroadcast(v, 5u),
    subgroupBroadcast(v, 6u),
    subgroupBroadcast(v, 7u),
  );
}
