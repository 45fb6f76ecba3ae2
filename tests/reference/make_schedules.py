"""Writes schedules.safetensors: noise schedules, timesteps, steps of every prediction type, learning
rates and loss weights, as diffusers computes them (float32, but for the learning rates).

    pip install torch==2.13.0 diffusers==0.40.0 safetensors
    python make_schedules.py ../fixtures/reference

Tensors are CASE.NAME; the metadata's `config` gives each case's class and options.
"""

import json
import os
import sys

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.optimization import get_scheduler
from diffusers.training_utils import compute_snr
from safetensors.torch import save_file

SOLVER = {"algorithm_type": "dpmsolver++", "solver_order": 2}
SCHEDULERS = {
    "ddpm": (DDPMScheduler, {}),
    "ddim": (DDIMScheduler, {}),
    "dpmpp": (DPMSolverMultistepScheduler, SOLVER),
}
PREDICTIONS = ("epsilon", "sample", "v_prediction")
TIMESTEPS = 1000

tensors, config = {}, {}


def record(case, options, values):
    config[case] = options
    tensors.update({f"{case}.{k}": v.detach().contiguous().clone() for k, v in values.items()})


def noise_schedules():
    for schedule in ("linear", "scaled_linear", "squaredcos_cap_v2"):
        scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule=schedule)
        record(f"beta_{schedule}",
               {"beta_schedule": schedule, "beta_start": 0.0001, "beta_end": 0.02},
               {"betas": scheduler.betas, "alphas_cumprod": scheduler.alphas_cumprod})
    scheduler = DDPMScheduler(num_train_timesteps=100, beta_start=0.001, beta_end=0.1)
    record("beta_linear_100", {"beta_schedule": "linear", "beta_start": 0.001, "beta_end": 0.1},
           {"betas": scheduler.betas, "alphas_cumprod": scheduler.alphas_cumprod})


def timesteps():
    for name, (cls, options) in SCHEDULERS.items():
        for spacing in ("leading", "linspace", "trailing"):
            for offset in (0, 1) if spacing == "leading" else (0,):
                scheduler = cls(num_train_timesteps=TIMESTEPS, timestep_spacing=spacing,
                                steps_offset=offset, **options)
                values = {}
                for steps in (1, 7, 10, 50):
                    scheduler.set_timesteps(steps)
                    values[f"{steps}"] = scheduler.timesteps.int()
                record(f"timesteps_{name}_{spacing}" + ("_offset_1" if offset else ""),
                       {"scheduler": cls.__name__, "timestep_spacing": spacing,
                        "steps_offset": offset, **options}, values)


def trajectory(case, cls, steps, step_options=None, **options):
    """A reverse trajectory from recorded model outputs and, where it draws, noises."""
    shape, step_options = (2, 1, 2, 3), step_options or {}
    scheduler = cls(num_train_timesteps=TIMESTEPS, **options)
    scheduler.set_timesteps(steps)
    random = torch.Generator().manual_seed(11)
    # How the next number is drawn is known to the scheduler alone; a twin generator, in the same
    # state, tells what it will draw.
    draws = torch.Generator().manual_seed(12)
    x = torch.randn(shape, generator=random)
    xs, outputs, noises = [x], [], []
    for t in scheduler.timesteps:
        output = 0.9 * x + 0.3 * torch.randn(shape, generator=random)
        twin = torch.Generator()
        twin.set_state(draws.get_state())
        extra = {} if cls is DPMSolverMultistepScheduler else {"generator": draws}
        x = scheduler.step(output, t, x, **step_options, **extra).prev_sample
        drew = not torch.equal(twin.get_state(), draws.get_state())
        noises.append(torch.randn(shape, generator=twin) if drew else torch.zeros(shape))
        xs.append(x)
        outputs.append(output)
    record(case, {"scheduler": cls.__name__, "num_inference_steps": steps,
                  "num_train_timesteps": TIMESTEPS, **options, **step_options},
           {"timesteps": scheduler.timesteps.int(), "x": torch.stack(xs),
            "output": torch.stack(outputs), "noise": torch.stack(noises)})


def steps():
    for name, (cls, options) in SCHEDULERS.items():
        for prediction in PREDICTIONS:
            trajectory(f"step_{name}_{prediction}", cls, 7, prediction_type=prediction, **options)
        for spacing in ("leading", "linspace", "trailing"):
            trajectory(f"step_{name}_{spacing}", cls, 7, timestep_spacing=spacing, **options)
        for schedule in ("scaled_linear", "squaredcos_cap_v2"):
            trajectory(f"step_{name}_{schedule}", cls, 7, beta_schedule=schedule, **options)
    for name in ("ddpm", "ddim"):
        trajectory(f"step_{name}_no_clip", SCHEDULERS[name][0], 7, clip_sample=False)
    trajectory("step_ddpm_fixed_large", DDPMScheduler, 7, variance_type="fixed_large")
    for eta in (0.5, 1.0):
        trajectory(f"step_ddim_eta_{eta}", DDIMScheduler, 7, step_options={"eta": eta})
    trajectory("step_ddim_alpha_not_one", DDIMScheduler, 7, set_alpha_to_one=False)
    trajectory("step_dpmpp_20", DPMSolverMultistepScheduler, 20, **SOLVER)
    trajectory("step_dpmpp_order_1", DPMSolverMultistepScheduler, 7,
               algorithm_type="dpmsolver++", solver_order=1)


def targets():
    scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS)
    random = torch.Generator().manual_seed(13)
    sample, noise = (torch.randn(3, 1, 2, 3, generator=random) for _ in range(2))
    t = torch.tensor([0, 500, 999])
    record("velocity", {}, {
        "sample": sample, "noise": noise, "timesteps": t.int(),
        "output": scheduler.get_velocity(sample, noise, t),
        "noisy": scheduler.add_noise(sample, noise, t),
    })
    # Min-SNR (arXiv:2303.09556) as diffusers' training scripts weigh each prediction type.
    gamma = 5.0
    snr = compute_snr(scheduler, torch.arange(TIMESTEPS))
    capped = snr.clamp(max=gamma)
    record("min_snr", {"gamma": gamma}, {
        "snr": snr, "epsilon": capped / snr, "v_prediction": capped / (snr + 1), "sample": capped})


def learning_rates():
    rate, warmup, total = 1e-3, 10, 60
    for name in ("constant", "constant_with_warmup", "linear", "cosine"):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
        scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup,
                                  num_training_steps=total)
        rates = []
        for _ in range(total + 5):  # what the first, second, … optimizer step uses
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        record(f"lr_{name}", {"lr": rate, "num_warmup_steps": warmup, "num_training_steps": total},
               {"lr": torch.tensor(rates, dtype=torch.float64)})


if __name__ == "__main__":
    for make in (noise_schedules, timesteps, steps, targets, learning_rates):
        make()
    path = os.path.join(sys.argv[1], "schedules.safetensors")
    save_file(tensors, path, metadata={"kind": "schedules", "config": json.dumps(config)})
    print(f"{os.path.getsize(path):,}  {path}: {len(config)} cases, {len(tensors)} tensors")
