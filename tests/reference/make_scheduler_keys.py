"""What diffusers' schedulers do with each key of a scheduler_config.json, of their own and of others.

    pip install torch==2.13.0 diffusers==0.42.1
    python make_scheduler_keys.py ../fixtures/schedulers/keys.json

Every class is loaded by `from_pretrained` from a file with one key set to one value; then it takes four
steps from a fixed x with model outputs that follow from x. A case has its timesteps and every x;
`fails` where diffusers refuses the file. Values have eight digits of what diffusers computed in float32.
"""

import inspect
import json
import os
import sys
import tempfile

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.utils import logging

logging.set_verbosity_error()
CLASSES = [DDPMScheduler, DDIMScheduler, DPMSolverMultistepScheduler]
BASE = {"num_train_timesteps": 40, "beta_start": 0.001, "beta_end": 0.2}
STEPS = 4
# Values off the default, for keys whose default does not say which there are.
VALUES = {
    "num_train_timesteps": [50],
    "beta_start": [0.002],
    "beta_end": [0.3],
    "beta_schedule": ["scaled_linear", "squaredcos_cap_v2"],
    "trained_betas": [[0.01 + 0.002 * i for i in range(40)]],
    "variance_type": ["fixed_large", None],
    "clip_sample": [True, False],
    "prediction_type": ["v_prediction", "sample"],
    "thresholding": [True],
    "dynamic_thresholding_ratio": [0.5],
    "clip_sample_range": [0.5],
    "sample_max_value": [2.0],
    "timestep_spacing": ["linspace", "leading", "trailing"],
    "steps_offset": [1],
    "rescale_betas_zero_snr": [True],
    "set_alpha_to_one": [False],
    "solver_order": [1],
    "algorithm_type": ["sde-dpmsolver++"],
    "solver_type": ["heun"],
    "lower_order_final": [False],
    "euler_at_final": [True],
    "use_karras_sigmas": [True],
    "use_exponential_sigmas": [True],
    "use_lu_lambdas": [True],
    "use_flow_sigmas": [True],
    "flow_shift": [3.0],
    "final_sigmas_type": ["sigma_min"],
    "lambda_min_clipped": [-0.5],
    "use_dynamic_shifting": [True],
    "skip_prk_steps": [True],  # of PNDMScheduler
    "predict_epsilon": [True],  # before 2023
    "_null_class": [-1],
}
# They do not change a step by themselves.
SKIPPED = {"self", "kwargs", "use_beta_sigmas", "time_shift_type"}


def round8(values):
    return [float(f"{v:.8g}") for v in values.flatten().tolist()]


def trajectory(cls, config):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "scheduler_config.json"), "w") as file:
            json.dump({"_class_name": cls.__name__, **config}, file)
        scheduler = cls.from_pretrained(folder)
    scheduler.set_timesteps(STEPS)
    x = torch.tensor([[[[1.5, -0.7, 0.2, -2.1]]]])
    rows = [x]
    for t in scheduler.timesteps:
        generator = torch.Generator().manual_seed(0)
        options = {} if cls is DDIMScheduler else {"generator": generator}
        x = scheduler.step(0.8 * x + 0.1, t, x, **options).prev_sample
        rows.append(x)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return {
        "timesteps": [int(t) for t in scheduler.timesteps],
        "x": [round8(row) for row in rows],
        "noise": round8(noise),
    }


cases = []
keys = sorted(set(VALUES) | {k for c in CLASSES for k in inspect.signature(c.__init__).parameters})
for cls in CLASSES:
    for key, value in [(None, None)] + [(k, v) for k in keys if k not in SKIPPED for v in VALUES[k]]:
        config = {**BASE, **({key: value} if key else {})}
        # thresholding of other values: see there
        for extra in [{}, {"thresholding": True}] if key in (
                "sample_max_value", "dynamic_thresholding_ratio") else [{}]:
            case = {"class": cls.__name__, "config": {**config, **extra}, "key": key}
            try:
                result = trajectory(cls, {**config, **extra})
                finite = all(v == v and abs(v) < 1e30 for row in result["x"] for v in row)
                case |= result if finite else {"fails": "NaN"}
            except Exception as error:  # noqa: BLE001
                case["fails"] = type(error).__name__
            cases.append(case)
with open(sys.argv[1], "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(cases), "cases,", sum("fails" in c for c in cases), "fail in diffusers")
