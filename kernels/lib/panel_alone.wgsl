// Library: up to 16 texels of the kernel's panels, which all invocations of a workgroup use, read
// by each for itself; joined after staged.wgsl.

struct Panel {
  at: u32,
}

/// Four of them, one after the other.
struct Texels {
  a: vec4<f32>,
  b: vec4<f32>,
  c: vec4<f32>,
  d: vec4<f32>,
}

fn load_panel(at: u32, lane: u32) -> Panel {
  return Panel(at);
}

fn four_at(at: u32) -> Texels {
  return Texels(
    staged(panels, at),
    staged(panels, at + 1),
    staged(panels, at + 2),
    staged(panels, at + 3),
  );
}

fn four_0(p: Panel) -> Texels {
  return four_at(p.at);
}

fn four_1(p: Panel) -> Texels {
  return four_at(p.at + 4);
}

fn four_2(p: Panel) -> Texels {
  return four_at(p.at + 8);
}

fn four_3(p: Panel) -> Texels {
  return four_at(p.at + 12);
}
