// Library: what partial.wgsl does with a difference besides summing its squares: nothing.

fn keep(_i: u32, _difference: vec4<f32>) {}
