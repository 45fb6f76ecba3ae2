// Library: the softmax of four queries over keys as they come, and its store; joined after
// head_8.wgsl in front of kernels that bind params, y and logsumexp as forward_8.wgsl does.

/// What is known of four queries after some keys.
struct Softmax {
  most: vec4<f32>,
  total: vec4<f32>,
  y: Head,
}

/// Before the first key.
fn no_keys() -> Softmax {
  return Softmax(vec4(-1e30), vec4(0.0), Head());
}

/// Takes in four keys and their values.
fn add_keys(s: ptr<function, Softmax>, query: Head, keys: Head, values: Head) {
  let scores = products(query, keys);
  let most = max(max(scores[0], scores[1]), max(scores[2], scores[3]));
  let next = max((*s).most, most);
  let decay = exp2((*s).most - next);
  let p = mat4x4<f32>(
    exp2(scores[0] - next),
    exp2(scores[1] - next),
    exp2(scores[2] - next),
    exp2(scores[3] - next),
  );
  (*s).most = next;
  (*s).total = (*s).total * decay + ((p[0] + p[1]) + (p[2] + p[3]));
  (*s).y.c0 = (*s).y.c0 * decay + weighted(p, values.c0);
  (*s).y.c1 = (*s).y.c1 * decay + weighted(p, values.c1);
  (*s).y.c2 = (*s).y.c2 * decay + weighted(p, values.c2);
  (*s).y.c3 = (*s).y.c3 * decay + weighted(p, values.c3);
  (*s).y.c4 = (*s).y.c4 * decay + weighted(p, values.c4);
  (*s).y.c5 = (*s).y.c5 * decay + weighted(p, values.c5);
  (*s).y.c6 = (*s).y.c6 * decay + weighted(p, values.c6);
  (*s).y.c7 = (*s).y.c7 * decay + weighted(p, values.c7);
}

fn store(s: Softmax, at: u32, token: u32) {
  let n = params.stride4;
  let share = 1.0 / s.total;
  y[at] = Stored(s.y.c0 * share);
  y[at + n] = Stored(s.y.c1 * share);
  y[at + 2 * n] = Stored(s.y.c2 * share);
  y[at + 3 * n] = Stored(s.y.c3 * share);
  y[at + 4 * n] = Stored(s.y.c4 * share);
  y[at + 5 * n] = Stored(s.y.c5 * share);
  y[at + 6 * n] = Stored(s.y.c6 * share);
  y[at + 7 * n] = Stored(s.y.c7 * share);
  logsumexp[token] = (s.most + log2(s.total)) / LOG2_E;
}
