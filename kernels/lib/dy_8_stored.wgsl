// Library: gradients of heads of 8 channels, as head_8_stored.wgsl has the heads.

@group(0) @binding(4) var<storage, read> dy: array<StoredX>;

fn load_dy(at: u32, n: u32) -> Head {
  return Head(
    vec4<f32>(dy[at]),
    vec4<f32>(dy[at + n]),
    vec4<f32>(dy[at + 2 * n]),
    vec4<f32>(dy[at + 3 * n]),
    vec4<f32>(dy[at + 4 * n]),
    vec4<f32>(dy[at + 5 * n]),
    vec4<f32>(dy[at + 6 * n]),
    vec4<f32>(dy[at + 7 * n]),
  );
}
