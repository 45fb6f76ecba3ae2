// Library: what reduce.wgsl joins are numbers, summed.

alias Reduced = f32;

fn join(a: Reduced, b: Reduced) -> Reduced {
  return a + b;
}
