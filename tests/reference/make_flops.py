"""Counts the floating point operations of the presets' steps with PyTorch's own counter.

    pip install torch==2.13.0 diffusers==0.42.1
    python make_flops.py ../../lib/audit/torch_flops.json

`torch.utils.flop_counter` counts convolutions and matrix products only, a multiplication and an
addition as two. The model runs on the meta device: shapes without numbers. Attention is made to run
as two matrix products and a softmax (SDPBackend.MATH), the form that the counter knows everywhere.
"""

import argparse
import json

import diffusers
import torch
from diffusers import UNet2DModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CHANNELS = (32, 64, 96)
CASES = {
    # preset, step: batch, side, whether gradients are taken
    "seed-forward": (1, 128, False),
    "seed-train": (8, 128, True),
    "seed-sample": (16, 128, False),  # guided: conditional and unconditional in one batch of 2·8
    "demo-forward": (1, 32, False),
    "demo-train": (8, 32, True),
    "demo-sample": (16, 32, False),
}


def model(side):
    return UNet2DModel(
        sample_size=side, in_channels=3, out_channels=1, block_out_channels=CHANNELS,
        layers_per_block=1, down_block_types=("DownBlock2D",) * 3,
        up_block_types=("UpBlock2D",) * 3).to("meta")


def count(batch, side, backward):
    net = model(side)
    sample = torch.zeros(batch, 3, side, side, device="meta")
    timestep = torch.zeros(batch, dtype=torch.int64, device="meta")
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter, torch.set_grad_enabled(backward):
        prediction = net(sample, timestep).sample
        if backward:
            torch.nn.functional.mse_loss(prediction, torch.zeros_like(prediction)).backward()
    by_op = {str(op): n for op, n in counter.get_flop_counts()["Global"].items()}
    return {"batch": batch, "side": side, "total": counter.get_total_flops(), "by_op": by_op}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    path = parser.parse_args().file
    result = {
        "torch": torch.__version__, "diffusers": diffusers.__version__,
        "counts": {name: count(*case) for name, case in CASES.items()},
    }
    with open(path, "w") as file:
        json.dump(result, file, indent=2)
        file.write("\n")


if __name__ == "__main__":
    main()
