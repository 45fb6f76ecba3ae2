// Library: as panel_alone.wgsl, for workgroups of subgroups of eight: each invocation reads every
// eighth texel for all. Joined after lane_texels.wgsl.

struct Panel {
  v0: vec4<f32>,
  v1: vec4<f32>,
}

fn load_panel(at: u32, lane: u32) -> Panel {
  let mine = at + lane % 8;
  return Panel(staged(panels, mine), staged(panels, mine + 8));
}

fn four_0(p: Panel) -> Texels {
  return low_texels(p.v0);
}

fn four_1(p: Panel) -> Texels {
  return high_texels(p.v0);
}

fn four_2(p: Panel) -> Texels {
  return low_texels(p.v1);
}

fn four_3(p: Panel) -> Texels {
  return high_texels(p.v1);
}
