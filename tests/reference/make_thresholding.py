"""Writes thresholding.safetensors: reverse steps with x0 clipped by `thresholding`, as diffusers does.

    pip install torch==2.13.0 diffusers==0.40.0 safetensors
    python make_thresholding.py ../fixtures/reference

As make_schedules.py, whose cases have no thresholding.
"""

import json
import os
import sys

from make_schedules import SCHEDULERS, config, tensors, trajectory
from safetensors.torch import save_file

if __name__ == "__main__":
    for name, (cls, options) in SCHEDULERS.items():
        trajectory(f"step_{name}_thresholding", cls, 20, thresholding=True, **options)
    path = os.path.join(sys.argv[1], "thresholding.safetensors")
    save_file(tensors, path, metadata={"kind": "schedules", "config": json.dumps(config)})
    print(f"{os.path.getsize(path):,}  {path}: {len(config)} cases")
