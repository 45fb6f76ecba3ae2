// Library: eight channels of four tokens that all invocations of a workgroup walk over, each
// reading them for itself; joined after head_8.wgsl.

fn walk(tensor: texture_storage_2d<rgba32float, read>, at: u32, n: u32, lane: u32) -> Head {
  return Head(
    staged(tensor, at),
    staged(tensor, at + n),
    staged(tensor, at + 2 * n),
    staged(tensor, at + 3 * n),
    staged(tensor, at + 4 * n),
    staged(tensor, at + 5 * n),
    staged(tensor, at + 6 * n),
    staged(tensor, at + 7 * n),
  );
}
