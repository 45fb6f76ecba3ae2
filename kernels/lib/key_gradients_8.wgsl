// Library: the gradients of four keys and their values over queries as they come, and their
// store; joined after head_8_backward.wgsl in front of kernels that bind as
// backward_key_value_8.wgsl does.

/// Four keys and their values.
struct Keys {
  k: Head,
  v: Head,
}

fn load(at: u32) -> Keys {
  let n = params.stride4;
  return Keys(scaled(load_k(at, n), LOG2_E * params.scale), load_v(at, n));
}

fn add_queries(
  key_sum: ptr<function, Head>,
  value_sum: ptr<function, Head>,
  own: Keys,
  others: Queries,
) {
  let s = products(own.k, others.q);
  let p = mat4x4<f32>(
    exp2(s[0] - others.total.x),
    exp2(s[1] - others.total.y),
    exp2(s[2] - others.total.z),
    exp2(s[3] - others.total.w),
  );
  add_weighted(value_sum, p, others.dy);
  let dp = products(own.v, others.dy);
  let ds = mat4x4<f32>(
    p[0] * (dp[0] - others.mean.x),
    p[1] * (dp[1] - others.mean.y),
    p[2] * (dp[2] - others.mean.z),
    p[3] * (dp[3] - others.mean.w),
  );
  add_weighted(key_sum, ds, others.q);
}

fn store_dk(h: Head, at: u32) {
  let n = params.stride4;
  dk[at] = Stored(h.c0);
  dk[at + n] = Stored(h.c1);
  dk[at + 2 * n] = Stored(h.c2);
  dk[at + 3 * n] = Stored(h.c3);
  dk[at + 4 * n] = Stored(h.c4);
  dk[at + 5 * n] = Stored(h.c5);
  dk[at + 6 * n] = Stored(h.c6);
  dk[at + 7 * n] = Stored(h.c7);
}

fn store_dv(h: Head, at: u32) {
  let n = params.stride4;
  dv[at] = Stored(h.c0);
  dv[at + n] = Stored(h.c1);
  dv[at + 2 * n] = Stored(h.c2);
  dv[at + 3 * n] = Stored(h.c3);
  dv[at + 4 * n] = Stored(h.c4);
  dv[at + 5 * n] = Stored(h.c5);
  dv[at + 6 * n] = Stored(h.c6);
  dv[at + 7 * n] = Stored(h.c7);
}
