"""Writes dice_bce.json: the segmentation loss and its gradient as PyTorch computes them in float64.

    pip install torch==2.13.0
    python make_dice_bce.py ../fixtures/reference
"""

import json
import os
import sys

import torch
import torch.nn.functional as F

random = torch.Generator().manual_seed(3)
logits = (3 * torch.randn(3, 1, 4, 5, generator=random)).double().requires_grad_()
target = torch.rand(3, 1, 4, 5, generator=random).double()
target[1] = 0
p, t = torch.sigmoid(logits).flatten(1), target.flatten(1)
dice = (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)
loss = F.binary_cross_entropy_with_logits(logits, target) + (1 - dice).mean()
loss.backward()
out = {
    "shape": list(logits.shape),
    "logits": logits.detach().flatten().tolist(),
    "target": target.flatten().tolist(),
    "loss": loss.item(),
    "gradient": logits.grad.flatten().tolist(),
}
with open(os.path.join(sys.argv[1], "dice_bce.json"), "w") as file:
    json.dump(out, file)
