// Library: as loss_alone.wgsl, keeping the gradient of the mean square,
// dprediction[i] = 2 / length * dloss * (prediction[i] - target_values[i]).

@group(0) @binding(4) var<storage, read> dloss: array<f32>;
@group(0) @binding(5) var<storage, read_write> dprediction: array<vec4<f32>>;

/// Vec4 i; the last may reach into the padding of the buffers.
fn keep(i: u32, difference: vec4<f32>) {
  if (4u * i < params.length) {
    dprediction[i] = (2.0 / f32(params.length) * dloss[0]) * difference;
  }
}
