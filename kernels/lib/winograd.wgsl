// Library: transforms of Winograd's F(4×4, 3×3) for the points 0, ±sqrt(1/2), ±sqrt(2), infinity,
// along one axis, of four tiles (or channels) at a time. These points make an error five times
// smaller than the usual 0, ±1, ±2 (Lavin and Gray 2015, arXiv:1509.09308; choice of points after
// Barabasz et al. 2018, arXiv:1803.10986).

const ROOT_HALF: f32 = 0.70710678118654752;
const ROOT_TWO: f32 = 1.41421356237309505;

struct Six {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
  v3: vec4<f32>,
  v4: vec4<f32>,
  v5: vec4<f32>,
}

struct Four {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
  v3: vec4<f32>,
}

struct Three {
  v0: vec4<f32>,
  v1: vec4<f32>,
  v2: vec4<f32>,
}

/// B^T d, of six pixels.
fn transform_input(d: Six) -> Six {
  let p = d.v4 - 2.0 * d.v2;
  let q = ROOT_HALF * (d.v3 - 2.0 * d.v1);
  let r = d.v4 - 0.5 * d.v2;
  let s = ROOT_TWO * (d.v3 - 0.5 * d.v1);
  return Six(
    d.v0 - 2.5 * d.v2 + d.v4,
    p + q,
    p - q,
    r + s,
    r - s,
    d.v1 - 2.5 * d.v3 + d.v5,
  );
}

/// A^T m, to four pixels.
fn transform_output(m: Six) -> Four {
  let p = m.v1 + m.v2;
  let q = ROOT_HALF * (m.v1 - m.v2);
  let r = m.v3 + m.v4;
  let s = ROOT_TWO * (m.v3 - m.v4);
  return Four(m.v0 + p + r, q + s, 0.5 * p + 2.0 * r, 0.5 * q + 2.0 * s + m.v5);
}

/// A e, of four pixels of the output's gradient.
fn transform_gradient(e: Four) -> Six {
  let p = e.v0 + 0.5 * e.v2;
  let q = ROOT_HALF * (e.v1 + 0.5 * e.v3);
  let r = e.v0 + 2.0 * e.v2;
  let s = ROOT_TWO * (e.v1 + 2.0 * e.v3);
  return Six(e.v0, p + q, p - q, r + s, r - s, e.v3);
}

/// G g, of three weights.
fn transform_weight(g: Three) -> Six {
  let p = (g.v0 + 0.5 * g.v2) / 1.5;
  let q = ROOT_HALF * g.v1 / 1.5;
  let r = (g.v0 + 2.0 * g.v2) / 6.0;
  let s = ROOT_TWO * g.v1 / 6.0;
  return Six(g.v0, -p - q, q - p, r + s, r - s, g.v2);
}

/// G^T u, to three weights.
fn transform_weight_gradient(u: Six) -> Three {
  let p = (u.v1 + u.v2) / 1.5;
  let q = ROOT_HALF * (u.v1 - u.v2) / 1.5;
  let r = (u.v3 + u.v4) / 6.0;
  let s = ROOT_TWO * (u.v3 - u.v4) / 6.0;
  return Three(u.v0 - p + r, s - q, 2.0 * r - 0.5 * p + u.v5);
}
