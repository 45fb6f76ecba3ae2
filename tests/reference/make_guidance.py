"""Writes guidance.safetensors: classifier-free guidance and its rescaling, as diffusers computes them.

    pip install torch==2.13.0 diffusers==0.40.0 safetensors
    python make_guidance.py ../fixtures/reference

Per case NAME: NAME.conditional, NAME.unconditional, NAME.output; the metadata's `config` gives scale
and guidance_rescale of each.
"""

import json
import os
import sys

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from safetensors.torch import save_file

if __name__ == "__main__":
    tensors, config = {}, {}
    random = torch.Generator().manual_seed(21)
    for name, shape, scale, rescale in (
        ("plain", (2, 1, 6, 10), 2.0, 0.0),
        ("rescaled", (3, 1, 6, 10), 3.5, 0.7),
        ("fully", (1, 1, 5, 7), 7.5, 1.0),
        ("large", (2, 1, 64, 48), 2.0, 0.5),
    ):
        text = torch.randn(shape, generator=random) * 1.3 + 0.2
        uncond = text + 0.4 * torch.randn(shape, generator=random)
        guided = uncond + scale * (text - uncond)
        config[name] = {"scale": scale, "guidance_rescale": rescale}
        tensors[f"{name}.conditional"] = text
        tensors[f"{name}.unconditional"] = uncond
        tensors[f"{name}.output"] = rescale_noise_cfg(guided, text, guidance_rescale=rescale)
    path = os.path.join(sys.argv[1], "guidance.safetensors")
    save_file(tensors, path, metadata={"kind": "guidance", "config": json.dumps(config)})
    print(f"{os.path.getsize(path):,}  {path}")
