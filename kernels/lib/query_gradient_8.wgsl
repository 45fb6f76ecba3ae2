// Library: the gradient of four queries over keys as they come, and its store; joined after
// head_8_backward.wgsl in front of kernels that bind as backward_query_8.wgsl does.

fn load(at: u32, token: u32) -> Queries {
  let q = scaled(load_q(at, params.stride4), LOG2_E * params.scale);
  return Queries(q, load_dy(at, params.stride4), LOG2_E * logsumexp[token], delta[token]);
}

/// Takes in four keys and their values.
fn add_keys(sum: ptr<function, Head>, own: Queries, keys: Head, values: Head) {
  let s = products(own.q, keys);
  let dp = products(own.dy, values);
  let ds = mat4x4<f32>(
    exp2(s[0] - own.total) * (dp[0] - own.mean),
    exp2(s[1] - own.total) * (dp[1] - own.mean),
    exp2(s[2] - own.total) * (dp[2] - own.mean),
    exp2(s[3] - own.total) * (dp[3] - own.mean),
  );
  add_weighted(sum, ds, keys);
}

fn store(h: Head, at: u32) {
  let n = params.stride4;
  dq[at] = Stored(h.c0);
  dq[at + n] = Stored(h.c1);
  dq[at + 2 * n] = Stored(h.c2);
  dq[at + 3 * n] = Stored(h.c3);
  dq[at + 4 * n] = Stored(h.c4);
  dq[at + 5 * n] = Stored(h.c5);
  dq[at + 6 * n] = Stored(h.c6);
  dq[at + 7 * n] = Stored(h.c7);
}
