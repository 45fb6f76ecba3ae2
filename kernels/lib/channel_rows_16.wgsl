// Library: as channel_rows.wgsl, for subgroups of sixteen; joined after upper_texels.wgsl.

struct Held {
  t0: vec4<f32>,
  t1: vec4<f32>,
  edge: vec4<f32>,
}

/// Four channels at a time, then the neighbours of all, the left ones in the lower half of the
/// lanes. `row` is where channel 0's begins.
fn load_rows(row: u32, ci: u32, column: u32, lane: u32) -> Held {
  let mine = column + lane % 4;
  let own = ci + lane / 4;
  let zero = vec4(0.0);
  let is_upper = lane >= 8;
  let has_edge = select(column >= 4, column + 4 < params.w4, is_upper);
  let beside = texel_at(row, ci + lane % 8, select(column - 1, column + 4, is_upper));
  return Held(
    select(zero, texel_at(row, own, mine), mine < params.w4),
    select(zero, texel_at(row, own + 4, mine), mine < params.w4),
    select(zero, beside, has_edge),
  );
}

fn row_0(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 0u), low_texels(h.t0), subgroupBroadcast(h.edge.x, 8u));
}

fn row_1(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 1u), high_texels(h.t0), subgroupBroadcast(h.edge.x, 9u));
}

fn row_2(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 2u), third_texels(h.t0), subgroupBroadcast(h.edge.x, 10u));
}

fn row_3(h: Held) -> Row {
  return Row(
    subgroupBroadcast(h.edge.w, 3u),
    fourth_texels(h.t0),
    subgroupBroadcast(h.edge.x, 11u),
  );
}

fn row_4(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 4u), low_texels(h.t1), subgroupBroadcast(h.edge.x, 12u));
}

fn row_5(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 5u), high_texels(h.t1), subgroupBroadcast(h.edge.x, 13u));
}

fn row_6(h: Held) -> Row {
  return Row(subgroupBroadcast(h.edge.w, 6u), third_texels(h.t1), subgroupBroadcast(h.edge.x, 14u));
}

fn row_7(h: Held) -> Row {
  return Row(
    subgroupBroadcast(h.edge.w, 7u),
    fourth_texels(h.t1),
    subgroupBroadcast(h.edge.x, 15u),
  );
}
