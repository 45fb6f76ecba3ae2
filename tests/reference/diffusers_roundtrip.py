"""Exchanges model folders with the real diffusers, in both directions.

    pip install torch==2.13.0 diffusers==0.40.0 safetensors
    python diffusers_roundtrip.py write ../fixtures/diffusers_tiny      # a folder for us to load
    python diffusers_roundtrip.py read MODEL_DIR INPUT [--expect FILE] [--out FILE.npy]

`write` saves a small UNet2DModel with save_pretrained (config.json and
diffusion_pytorch_model.safetensors), and case.safetensors: input.sample, input.timestep and the
output.sample that diffusers computes for them in float64.

`read` loads a folder that we wrote with from_pretrained, unchanged, and fails on a missing or
unexpected weight. INPUT is a .safetensors with input.sample and input.timestep, or an .npy
[B, 3, H, W] with --timestep. It prints the output's shape and moments, and with --expect (an .npy,
or a .safetensors with output.sample) the relative error ‖a−b‖/‖b‖; exit 1 if that exceeds 5e-6.
"""

import argparse
import os
import sys

import numpy as np
import torch
from cases import build, unet_config
from diffusers import UNet2DModel
from safetensors.numpy import load_file
from safetensors.torch import save_file

TOLERANCE = 5e-6


def compute(model, sample, timestep):
    with torch.no_grad():
        return model.double()(sample.double(), timestep).sample.float()


def write(folder):
    config = unet_config(channels=(8, 16), size=(12, 20), groups=4, attention=(1,))
    model = build(config, seed=21)
    model.save_pretrained(folder)
    sample, timestep = torch.randn(2, 3, 12, 20), torch.tensor([3, 750])
    save_file({
        "input.sample": sample,
        "input.timestep": timestep.int(),
        "output.sample": compute(model, sample, timestep),
    }, os.path.join(folder, "case.safetensors"))
    for name in sorted(os.listdir(folder)):
        print(f"{os.path.getsize(os.path.join(folder, name)):>10,}  {os.path.join(folder, name)}")


def tensor(path, name):
    return np.load(path) if path.endswith(".npy") else load_file(path)[name]


def read(args):
    model, info = UNet2DModel.from_pretrained(
        args.model, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False,
        output_loading_info=True)
    wrong = {k: v for k, v in info.items() if v}
    if wrong:
        sys.exit(f"{args.model}: weights do not match its config.json: {wrong}")
    sample = torch.from_numpy(tensor(args.input, "input.sample")).float()
    if args.timestep is not None:
        timestep = torch.full((len(sample),), args.timestep)
    else:
        timestep = torch.from_numpy(tensor(args.input, "input.timestep")).long()
    output = compute(model, sample, timestep).numpy()
    count = sum(p.numel() for p in model.parameters())
    print(f"loaded {args.model}: {count:,} parameters")
    print(f"output {list(output.shape)}: mean {output.mean():.7f}, std {output.std():.7f}")
    if args.out:
        np.save(args.out, output)
    if args.expect:
        expected = tensor(args.expect, "output.sample").astype(np.float64)
        error = np.linalg.norm(output - expected) / np.linalg.norm(expected)
        print(f"relative error {error:.2e} (at most {TOLERANCE:.0e})")
        sys.exit(int(not error <= TOLERANCE))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    writer = commands.add_parser("write")
    writer.add_argument("folder")
    writer.set_defaults(run=lambda args: write(args.folder))
    reader = commands.add_parser("read")
    reader.add_argument("model")
    reader.add_argument("input")
    reader.add_argument("--timestep", type=int)
    reader.add_argument("--expect")
    reader.add_argument("--out")
    reader.set_defaults(run=read)
    args = parser.parse_args()
    args.run(args)
