// Library: heads of 8 channels in storage buffers; joined after head_8.wgsl. `n` is a channel's
// length in vec4.

alias StoredX = vec4<f32>; // @specialize

@group(0) @binding(1) var<storage, read> q: array<StoredX>;
@group(0) @binding(2) var<storage, read> k: array<StoredX>;
@group(0) @binding(3) var<storage, read> v: array<StoredX>;

fn load_q(at: u32, n: u32) -> Head {
  return Head(
    vec4<f32>(q[at]),
    vec4<f32>(q[at + n]),
    vec4<f32>(q[at + 2 * n]),
    vec4<f32>(q[at + 3 * n]),
    vec4<f32>(q[at + 4 * n]),
    vec4<f32>(q[at + 5 * n]),
    vec4<f32>(q[at + 6 * n]),
    vec4<f32>(q[at + 7 * n]),
  );
}

fn load_k(at: u32, n: u32) -> Head {
  return Head(
    vec4<f32>(k[at]),
    vec4<f32>(k[at + n]),
    vec4<f32>(k[at + 2 * n]),
    vec4<f32>(k[at + 3 * n]),
    vec4<f32>(k[at + 4 * n]),
    vec4<f32>(k[at + 5 * n]),
    vec4<f32>(k[at + 6 * n]),
    vec4<f32>(k[at + 7 * n]),
  );
}

fn load_v(at: u32, n: u32) -> Head {
  return Head(
    vec4<f32>(v[at]),
    vec4<f32>(v[at + n]),
    vec4<f32>(v[at + 2 * n]),
    vec4<f32>(v[at + 3 * n]),
    vec4<f32>(v[at + 4 * n]),
    vec4<f32>(v[at + 5 * n]),
    vec4<f32>(v[at + 6 * n]),
    vec4<f32>(v[at + 7 * n]),
  );
}
