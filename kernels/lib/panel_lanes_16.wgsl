// Library: as panel_lanes.wgsl, for workgroups of subgroups of sixteen. Joined after
// upper_texels.wgsl.

struct Panel {
  v: vec4<f32>,
}

fn load_panel(at: u32, lane: u32) -> Panel {
  return Panel(staged(panels, at + lane % 16));
}

fn four_0(p: Panel) -> Texels {
  return low_texels(p.v);
}

fn four_1(p: Panel) -> Texels {
  return high_texels(p.v);
}

fn four_2(p: Panel) -> Texels {
  return third_texels(p.v);
}

fn four_3(p: Panel) -> Texels {
  return fourth_texels(p.v);
}
