// Library: stores, by each invocation of what is its own; joined in front of kernels that have a
// function put(at, v), which stores one value.

fn put_all(lane: u32, inside: bool, at: u32, v: Stored) {
  if (inside) {
    put(at, v);
  }
}
