// Library: up to 32 texels of the kernel's panels, which all invocations of a workgroup use, read
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

fn four_0(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at),
    staged(panels, p.at + 1),
    staged(panels, p.at + 2),
    staged(panels, p.at + 3),
  );
}

fn four_1(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 4),
    staged(panels, p.at + 5),
    staged(panels, p.at + 6),
    staged(panels, p.at + 7),
  );
}

fn four_2(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 8),
    staged(panels, p.at + 9),
    staged(panels, p.at + 10),
    staged(panels, p.at + 11),
  );
}

fn four_3(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 12),
    staged(panels, p.at + 13),
    staged(panels, p.at + 14),
    staged(panels, p.at + 15),
  );
}

fn four_4(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 16),
    staged(panels, p.at + 17),
    staged(panels, p.at + 18),
    staged(panels, p.at + 19),
  );
}

fn four_5(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 20),
    staged(panels, p.at + 21),
    staged(panels, p.at + 22),
    staged(panels, p.at + 23),
  );
}

fn four_6(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 24),
    staged(panels, p.at + 25),
    staged(panels, p.at + 26),
    staged(panels, p.at + 27),
  );
}

fn four_7(p: Panel) -> Texels {
  return Texels(
    staged(panels, p.at + 28),
    staged(panels, p.at + 29),
    staged(panels, p.at + 30),
    staged(panels, p.at + 31),
  );
}
