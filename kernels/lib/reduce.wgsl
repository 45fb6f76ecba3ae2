// Library: what the invocations of a workgroup have, joined into one value through workgroup
// memory. Joined behind kernels, which define `alias Reduced` and `join`; WORKGROUP is a power of
// two from 8 on.

var<workgroup> partial: array<Reduced, WORKGROUP>;

/// Of all invocations, for the first; what the others get is not to be used.
fn reduce(lane: u32, own: Reduced) -> Reduced {
  partial[lane] = own;
  // A tree down to 8; the first one joins those, as barriers are dear on software Vulkan.
  for (var half = WORKGROUP / 2u; half >= 8u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] = join(partial[lane], partial[lane + half]);
    }
  }
  workgroupBarrier();
  var all = own;
  if (lane == 0u) {
    all = partial[0];
    for (var k = 1u; k < 8u; k++) {
      all = join(all, partial[k]);
    }
  }
  return all;
}
