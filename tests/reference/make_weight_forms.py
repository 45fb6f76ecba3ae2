"""One small UNet2DModel in every form that diffusers writes weights in, and in older ones.

    pip install torch==2.13.0 diffusers==0.42.1 accelerate
    python make_weight_forms.py ../fixtures/weight_forms
"""

import json
import os
import sys

import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file

torch.manual_seed(0)
model = UNet2DModel(
    sample_size=8, in_channels=3, out_channels=1, block_out_channels=(4,), layers_per_block=1,
    down_block_types=("DownBlock2D",), up_block_types=("AttnUpBlock2D",), norm_num_groups=2,
    attention_head_dim=4)
out = sys.argv[1]
NAME = "diffusion_pytorch_model"


def folder(name):
    return os.path.join(out, name)


model.save_pretrained(folder("whole"))
model.save_pretrained(folder("shards"), max_shard_size="7KB")
model.save_pretrained(folder("bin"), safe_serialization=False)
model.half().save_pretrained(folder("fp16"), variant="fp16")

weights = load_file(os.path.join(folder("whole"), f"{NAME}.safetensors"))
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def old(name):
    for now, before in OLD.items():
        name = name.replace(f".{now}.", f".{before}.")
    return name


def write(name, rename):
    os.makedirs(folder(name), exist_ok=True)
    with open(os.path.join(folder("whole"), "config.json")) as file:
        config = json.load(file)
    with open(os.path.join(folder(name), "config.json"), "w") as file:
        json.dump(config, file)
    tensors = {rename(key): value for key, value in weights.items()}
    save_file(tensors, os.path.join(folder(name), f"{NAME}.safetensors"), metadata={"format": "pt"})


write("old_attention", old)
write("data_parallel", lambda key: f"module.{key}")
write("compiled", lambda key: f"_orig_mod.{key}")

# The oracle: diffusers reads them as the same weights.
for name in ["shards", "bin", "old_attention"]:
    again = UNet2DModel.from_pretrained(folder(name)).state_dict()
    assert all(torch.equal(again[key], weights[key]) for key in weights), name
again = UNet2DModel.from_pretrained(folder("fp16"), variant="fp16").state_dict()
assert all(torch.equal(again[key], weights[key].half().float()) for key in weights)
