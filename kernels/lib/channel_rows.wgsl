// Library: rows of sixteen pixels of eight channels and their neighbours, of which each invocation
// of a subgroup of eight holds an eighth; for backward_weight_3x3_lanes.wgsl, joined after
// lane_texels.wgsl.

struct Held {
  t0: vec4<f32>,
  t1: vec4<f32>,
  t2: vec4<f32>,
  t3: vec4<f32>,
  left: f32,
  right: f32,
}

/// Two channels at a time, then the neighbours of all. `row` is where channel 0's begins.
fn load_rows(row: u32, ci: u32, column: u32, lane: u32) -> Held {
  let mine = column + lane % 4;
  let own = ci + lane / 4;
  let zero = vec4(0.0);
  return Held(
    select(zero, texel_at(row, own, mine), mine < params.w4),
    select(zero, texel_at(row, own + 2, mine), mine < params.w4),
    select(zero, texel_at(row, own + 4, mine), mine < params.w4),
    select(zero, texel_at(row, own + 6, mine), mine < params.w4),
    select(0.0, texel_at(row, ci + lane, column - 1).w, column >= 4),
    select(0.0, texel_at(row, ci + lane, column + 4).x, column + 4 < params.w4),
  );
}

fn row_0(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 0u), low_texels(h.t0), subgroupBroadcast(h.right, 0u));
}

fn row_1(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 1u), high_texels(h.t0), subgroupBroadcast(h.right, 1u));
}

fn row_2(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 2u), low_texels(h.t1), subgroupBroadcast(h.right, 2u));
}

fn row_3(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 3u), high_texels(h.t1), subgroupBroadcast(h.right, 3u));
}

fn row_4(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 4u), low_texels(h.t2), subgroupBroadcast(h.right, 4u));
}

fn row_5(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 5u), high_texels(h.t2), subgroupBroadcast(h.right, 5u));
}

fn row_6(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 6u), low_texels(h.t3), subgroupBroadcast(h.right, 6u));
}

fn row_7(h: Held) -> Row {
  return Row(subgroupBroadcast(h.left, 7u), high_texels(h.t3), subgroupBroadcast(h.right, 7u));
}
