// Library: sixteen pixels of a row of the kernel's dy and their neighbours, zeros where the image
// ends. dy is of twice the rows and columns of x.

struct Sixteen {
  before: f32,
  p: vec4<f32>,
  q: vec4<f32>,
  s: vec4<f32>,
  t: vec4<f32>,
  after: f32,
}
