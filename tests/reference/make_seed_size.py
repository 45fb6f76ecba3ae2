"""Writes tests/fixtures/reference/unet-seed-size.json: the seed model in PyTorch, weights by a formula.

    pip install torch==2.13.0 diffusers==0.42.1
    python make_seed_size.py ../fixtures/reference

tests/model/seed_size_test.ts makes the same weights and inputs; of each gradient only its norm and its
products with four vectors are kept, so that the file is small. All in float64, from float32 weights.
"""

import json
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel

CONFIG = {
    "sample_size": [16, 24],
    "in_channels": 3,
    "out_channels": 1,
    "block_out_channels": [32, 64, 96],
    "down_block_types": ["DownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 32,
}
SKETCHES = 4


def uniforms(count, seed):
    """In [0, 1), multiples of 2^-24; `uniforms` of tests/metrics/shared.ts."""
    x = (np.arange(count, dtype=np.uint64) + seed * 1000003) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & 0xFFFFFFFF
    x ^= x >> np.uint64(16)
    return (x >> np.uint64(8)).astype(np.float64) / 2**24


def signed(count, seed):
    return 2 * uniforms(count, seed) - 1


def weights(name, shape, seed):
    count = math.prod(shape)
    if len(shape) > 1:
        values = signed(count, seed) * math.sqrt(3 / (count // shape[0]))
    elif "norm" in name and name.endswith("weight"):
        values = 1 + 0.1 * signed(count, seed)
    else:
        values = 0.1 * signed(count, seed)
    return torch.tensor(values.astype(np.float32).reshape(shape))


def main(folder):
    model = UNet2DModel(**{**CONFIG, "sample_size": tuple(CONFIG["sample_size"])})
    named = dict(model.named_parameters())
    names = sorted(named)
    with torch.no_grad():
        for i, name in enumerate(names):
            named[name].copy_(weights(name, tuple(named[name].shape), 100 + i))
    model = model.double()
    height, width = CONFIG["sample_size"]
    plane = height * width
    f32 = lambda values: torch.tensor(values.astype(np.float32)).double()
    x = f32(signed(2 * 3 * plane, 1)).reshape(2, 3, height, width).requires_grad_()
    target = f32(signed(2 * plane, 2)).reshape(2, 1, height, width)
    y = model(x, torch.tensor([7, 801])).sample
    loss = F.mse_loss(y, target)
    loss.backward()

    def sketch(gradient, i):
        g = gradient.detach().numpy().ravel()
        products = [float(g @ signed(g.size, 1000 + SKETCHES * i + k)) for k in range(SKETCHES)]
        return [float(np.linalg.norm(g)), *products]

    grads = {name: parameter.grad for name, parameter in model.named_parameters()}
    case = {
        "config": CONFIG,
        "output": [float(np.float32(v)) for v in y.detach().numpy().ravel()],
        "loss": loss.item(),
        "sample_gradient": sketch(x.grad, len(names)),
        "gradients": {name: sketch(grads[name], i) for i, name in enumerate(names)},
    }
    path = os.path.join(folder, "unet-seed-size.json")
    with open(path, "w") as file:
        json.dump(case, file, separators=(",", ":"))
        file.write("\n")
    print(os.path.getsize(path), sum(p.numel() for p in model.parameters()))


main(sys.argv[1])
