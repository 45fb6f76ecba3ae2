// Library: sums of a head that four invocations have a part of each; joined after head_8.wgsl, for
// workgroups of 64.

const OWN: u32 = 16;
const PARTS: u32 = 4;

var<workgroup> parts: array<Head, 64>;

fn both(a: Head, b: Head) -> Head {
  return Head(
    a.c0 + b.c0,
    a.c1 + b.c1,
    a.c2 + b.c2,
    a.c3 + b.c3,
    a.c4 + b.c4,
    a.c5 + b.c5,
    a.c6 + b.c6,
    a.c7 + b.c7,
  );
}

/// Of the parts that invocations OWN apart have, for the first OWN. All must call it.
fn summed_parts(lane: u32, part: Head) -> Head {
  workgroupBarrier();
  parts[lane] = part;
  workgroupBarrier();
  let own = lane % OWN;
  return both(both(parts[own], parts[OWN + own]), both(parts[2 * OWN + own], parts[3 * OWN + own]));
}
