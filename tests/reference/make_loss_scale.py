"""Writes loss-scale.safetensors: AdamW steps under torch.amp.GradScaler, some of which overflow.

    pip install torch==2.13.0 safetensors
    python make_loss_scale.py ../fixtures/reference

`gradient` [steps, n] is the true gradient; where `overflow` is not 0, the scaled one has it (infinity
or NaN) in its first element. After each step: `p`, `m`, `v` [steps, n] and `scale`, `growth_tracker`,
`skipped` [steps].
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file

STEPS, SIZE = 24, 100
CONFIG = {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01, "max_grad_norm": 5.0,
          "init_scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 4}
INFINITY, NAN = float("inf"), float("nan")
OVERFLOW = {0: INFINITY, 1: -INFINITY, 7: NAN, 8: INFINITY, 13: INFINITY}

random = torch.Generator().manual_seed(29)
weight = torch.nn.Parameter(torch.randn(SIZE, generator=random))
tensors = {"start": weight.detach().clone()}
optimizer = torch.optim.AdamW([weight], lr=CONFIG["lr"], betas=CONFIG["betas"], eps=CONFIG["eps"],
                              weight_decay=CONFIG["weight_decay"])
scaler = torch.amp.GradScaler("cpu", **{k: CONFIG[k] for k in (
    "init_scale", "growth_factor", "backoff_factor", "growth_interval")})
log = {k: [] for k in ("gradient", "overflow", "p", "m", "v", "scale", "growth_tracker", "skipped")}
skipped = 0
for step in range(STEPS):
    gradient = (0.2 + step / STEPS) * torch.randn(SIZE, generator=random)
    scaler.scale((weight * gradient).sum()).backward()
    overflow = OVERFLOW.get(step, 0.0)
    if overflow:
        weight.grad[0] = overflow
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([weight], CONFIG["max_grad_norm"])
    before = weight.detach().clone()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    skipped += bool(overflow)
    assert torch.equal(weight.detach(), before) == bool(overflow)
    state = optimizer.state[weight]
    zeros = torch.zeros(SIZE)
    values = {"gradient": gradient, "overflow": torch.tensor(overflow), "p": weight.detach(),
              "m": state.get("exp_avg", zeros), "v": state.get("exp_avg_sq", zeros),
              "scale": torch.tensor(scaler.get_scale()), "skipped": torch.tensor(float(skipped)),
              "growth_tracker": torch.tensor(float(scaler._get_growth_tracker()))}
    for name, value in values.items():
        log[name].append(value.clone())
tensors.update({name: torch.stack(values) for name, values in log.items()})
path = os.path.join(sys.argv[1], "loss-scale.safetensors")
save_file(tensors, path, metadata={"kind": "loss_scale", "config": json.dumps(CONFIG)})
print(f"{os.path.getsize(path):,}  {path}: scale {scaler.get_scale()}, {skipped} steps skipped")
