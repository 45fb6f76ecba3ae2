// Library: as panel_alone.wgsl, for workgroups of subgroups of eight: each invocation reads every
// eighth texel for all.

struct Panel {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
  v3: vec4<f32>,
}

/// Four of them, one after the other.
struct Texels {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

fn load_panel(at: u32, lane: u32) -> Panel {
  let mine = at + lane % 8;
  return Panel(
    staged(panels, mine),
    staged(panels, mine + 8),
    staged(panels, mine + 16),
    staged(panels, mine + 24),
  );
}

fn four_0(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v0, 0u),
    subgroupBroadcast(p.v0, 1u),
    subgroupBroadcast(p.v0, 2u),
    subgroupBroadcast(p.v0, 3u),
  );
}

fn four_1(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v0, 4u),
    subgroupBroadcast(p.v0, 5u),
    subgroupBroadcast(p.v0, 6u),
    subgroupBroadcast(p.v0, 7u),
  );
}

fn four_2(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v1, 0u),
    subgroupBroadcast(p.v1, 1u),
    subgroupBroadcast(p.v1, 2u),
    subgroupBroadcast(p.v1, 3u),
  );
}

fn four_3(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v1, 4u),
    subgroupBroadcast(p.v1, 5u),
    subgroupBroadcast(p.v1, 6u),
    subgroupBroadcast(p.v1, 7u),
  );
}

fn four_4(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v2, 0u),
    subgroupBroadcast(p.v2, 1u),
    subgroupBroadcast(p.v2, 2u),
    subgroupBroadcast(p.v2, 3u),
  );
}

fn four_5(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v2, 4u),
    subgroupBroadcast(p.v2, 5u),
    subgroupBroadcast(p.v2, 6u),
    subgroupBroadcast(p.v2, 7u),
  );
}

fn four_6(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v3, 0u),
    subgroupBroadcast(p.v3, 1u),
    subgroupBroadcast(p.v3, 2u),
    subgroupBroadcast(p.v3, 3u),
  );
}

fn four_7(p: Panel) -> Texels {
  return Texels(
    subgroupBroadcast(p.v3, 4u),
    subgroupBroadcast(p.v3, 5u),
    subgroupBroadcast(p.v3, 6u),
    subgroupBroadcast(p.v3, 7u),
  );
}
