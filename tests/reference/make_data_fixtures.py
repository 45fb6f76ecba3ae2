"""Writes tests/fixtures/data: files by NumPy and safetensors, resizing by PyTorch.

    pip install torch==2.13.0 safetensors==0.8.0 numpy==2.4.6
    python tests/reference/make_data_fixtures.py tests/fixtures/data
"""
import os, sys
import numpy as np
import torch, torch.nn.functional as F
from safetensors.torch import save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)

# 24 values 0 .. 23 minus 5 (no sign: as they are), shape [2,3,4], in each dtype.
ramp = np.arange(24).reshape(2, 3, 4)
for name, dtype in dict(u1="|u1", i1="|i1", i2="<i2", i2_big=">i2", u2="<u2", i4="<i4", u4="<u4",
                        f2="<f2", f4="<f4", f8="<f8", f8_big=">f8", i8="<i8").items():
    values = ramp if np.dtype(dtype).kind == "u" else ramp - 5
    np.save(f"{out}/{name}.npy", values.astype(dtype))
np.save(f"{out}/b1.npy", ramp % 3 == 0)
np.save(f"{out}/fortran.npy", np.asfortranarray((ramp - 5).astype("<f4")))
np.save(f"{out}/scalar.npy", np.float32(1.5))
np.save(f"{out}/empty.npy", np.zeros((0, 3), "<f4"))
for version in (2, 3):
    with open(f"{out}/version{version}.npy", "wb") as f:
        np.lib.format.write_array(f, (ramp - 5).astype("<i2"), version=(version, 0))
np.save(f"{out}/structured.npy", np.zeros(2, [("a", "<i2"), ("b", "<f4")]))
np.save(f"{out}/object.npy", np.array([None, 1], dtype=object), allow_pickle=True)

# Every dtype that training uses; 1.5, -2 and so on are exact in all of them.
v = torch.tensor([1.5, -2.0, 0.25, 65504.0, 0.0, -0.0])
save_file({"f32": v, "f16": v.half(), "bf16": v.bfloat16(), "f64": v.double().reshape(2, 3),
           "i32": torch.arange(-2, 4, dtype=torch.int32), "i64": torch.arange(3),
           "u8": torch.arange(5, dtype=torch.uint8), "bool": torch.tensor([True, False]),
           "naïve \"name\"": torch.zeros(0, 4)},
          f"{out}/dtypes.safetensors", metadata={"kind": "fixture"})

torch.manual_seed(0)
cases = {}
for i, (size, to) in enumerate([((157, 115), (16, 20)), ((7, 5), (16, 9)), ((16, 16), (8, 8)),
                                ((13, 17), (13, 17)), ((1, 3), (4, 4)), ((33, 20), (11, 7)),
                                ((50, 3), (7, 5))]):
    x = torch.randint(0, 256, (1, 1, *size), dtype=torch.uint8)
    f = x.float()
    cases[f"{i}.input"] = x[0, 0]
    cases[f"{i}.bilinear"] = F.interpolate(f, to, mode="bilinear", align_corners=False)[0, 0]
    cases[f"{i}.antialias"] = F.interpolate(f, to, mode="bilinear", align_corners=False,
                                            antialias=True)[0, 0]
    cases[f"{i}.nearest"] = F.interpolate(x, to, mode="nearest")[0, 0]
# Which pixel nearest takes, along one axis, for many pairs of sizes: float32 rounding decides some.
pairs = [(a, b) for a in (3, 10, 49, 115, 157, 333, 512) for b in (7, 32, 49, 64, 100, 128, 299)]
cases["pairs"] = torch.tensor(pairs, dtype=torch.int32)
cases["picks"] = torch.cat([
    F.interpolate(torch.arange(a).float().view(1, 1, 1, a), (1, b), mode="nearest").flatten()
    for a, b in pairs]).to(torch.int16)
save_file({k: t.contiguous() for k, t in cases.items()}, f"{out}/resize.safetensors")
