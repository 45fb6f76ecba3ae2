// Library: sums of a head that four invocations have a part of each; joined after head_8.wgsl in
// front of kernels with workgroups of 64, which say how many sums there are in SUMS and put their
// parts at sum * 64 + lane.

const OWN: u32 = 16;
const PARTS: u32 = 4;

var<workgroup> parts: array<Head, 64 * SUMS>;

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

/// Of the parts that invocations OWN apart have of a sum, for one of the first OWN.
fn summed_parts(lane: u32, sum: u32) -> Head {
  let i = sum * 64 + lane;
  return both(both(parts[i], parts[i + OWN]), both(parts[i + 2 * OWN], parts[i + 3 * OWN]));
}
