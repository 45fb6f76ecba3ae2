"""Small .pth files in both forms and a safetensors file of what they hold, for tests/metrics.

    pip install torch numpy safetensors
    python make_pickles.py ../fixtures/metrics

`attack_*.pth` are what a hostile file could be: they must be refused, and nothing may run.
"""

import collections
import os
import pickle
import sys
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

torch.manual_seed(0)
out = Path(sys.argv[1])
base = torch.randn(6, 4)
state = collections.OrderedDict(
    weight=torch.nn.Parameter(torch.randn(2, 3, 2, 2)),
    bias=torch.randn(2),
    transposed=base.t(),          # strides that are not C order
    part=base[2:4, 1:3],          # a view into a shared storage
    scalar=torch.tensor(3.25),
    empty=torch.zeros(0, 5),
    half=torch.tensor([1.5, -2.25, 65504.0]).half(),
    bfloat=torch.tensor([1.0, -3.140625, 1e30]).bfloat16(),
    double=torch.tensor([1 / 3, -2e300], dtype=torch.float64),
    tracked=torch.tensor(-(2**40)),
    bytes=torch.tensor([0, 255], dtype=torch.uint8),
    flag=torch.tensor([True, False]),
)
state._metadata = {"": {"version": 1}}
everything = {"state_dict": state, "epoch": 3, "rate": 0.5}
torch.save(everything, out / "tensors_zip.pth")
torch.save(everything, out / "tensors_legacy.pth", _use_new_zipfile_serialization=False)
plain = {f"state_dict.{k}": v.detach().contiguous().clone() for k, v in state.items()}
plain = {k: v.float() if v.dtype in (torch.half, torch.bfloat16) else v for k, v in plain.items()}
save_file(plain, out / "tensors.safetensors")


class Run:
    def __init__(self, function, *args):
        self.reduce = (function, args)

    def __reduce__(self):
        return self.reduce


def archive(name, payload, method=zipfile.ZIP_STORED, extra=()):
    with zipfile.ZipFile(out / name, "w", method) as file:
        file.writestr("archive/data.pkl", payload)
        for path, data in extra:
            file.writestr(path, data)


marker = "touch attack-ran"
archive("attack_system.pth", pickle.dumps({"w": Run(os.system, marker)}, 2))
archive("attack_eval.pth", pickle.dumps({"w": Run(eval, "open('attack-ran', 'w')")}, 2))
# torch.save in its legacy form, with a call in place of the sizes of the machine.
header = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
(out / "attack_legacy.pth").write_bytes(header + pickle.dumps(Run(os.system, marker), 2))
# A gigabyte of zeros in a kilobyte of deflate.
archive("attack_deflate.pth", pickle.dumps({}, 2), zipfile.ZIP_DEFLATED,
        [("archive/data/0", b"\0" * 4_000_000)])
