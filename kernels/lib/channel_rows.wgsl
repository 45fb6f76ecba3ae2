// Library: rows of sixteen pixels of eight channels and their neighbours, of which each invocation
// of a subgroup of eight holds an eighth; for backward_weight_3x3_lanes.wgsl, joined after
// lane_texels.wgsl.

struct Held {
  t0: vec4<f32>,
  t1: vec4<f32>,
  t2: vec4<f32>,
  t3: vec4<f32>,
  left: vec4<f32>,
  right: vec4<f32>,
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
    select(zero, texel_at(row, ci + lane, column - 1), column >= 4),
    select(zero, texel_at(row, ci + lane, column + 4), column + 4 < params.w4),
  );
}

fn row_0(h: Held) -> Row {
  return Row(of_lane_0(h.left).w, low_texels(h.t0), of_lane_0(h.right).x);
}

fn row_1(h: Held) -> Row {
  return Row(of_lane_1(h.left).w, high_texels(h.t0), of_lane_1(h.right).x);
}

fn row_2(h: Held) -> Row {
  return Row(of_lane_2(h.left).w, low_texels(h.t1), of_lane_2(h.right).x);
}

fn row_3(h: Held) -> Row {
  return Row(of_lane_3(h.left).w, high_texels(h.t1), of_lane_3(h.right).x);
}

fn row_4(h: Held) -> Row {
  return Row(of_lane_4(h.left).w, low_texels(h.t2), of_lane_4(h.right).x);
}

fn row_5(h: Held) -> Row {
  return Row(of_lane_5(h.left).w, high_texels(h.t2), of_lane_5(h.right).x);
}

fn row_6(h: Held) -> Row {
  return Row(of_lane_6(h.left).w, low_texels(h.t3), of_lane_6(h.right).x);
}

fn row_7(h: Held) -> Row {
  return Row(of_lane_7(h.left).w, high_texels(h.t3), of_lane_7(h.right).x);
}
