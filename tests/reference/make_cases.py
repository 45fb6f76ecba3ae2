"""Writes the reference cases of whole models; cases.py says what is in them.

    pip install torch==2.13.0 diffusers==0.40.0 safetensors torchmetrics==1.9.0
    python make_cases.py small ../fixtures/reference     # committed: a few hundred KB in all
    python make_cases.py large DIR                       # for `./run verify DIR/*`: about 120 MB
    python make_cases.py large DIR --only unet-64
"""

import argparse

import torch
from cases import metrics, sample, scheduler, train, unet
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

SEED_WIDTHS = (32, 64, 96)
SOLVER = {"algorithm_type": "dpmsolver++", "solver_order": 2}
DOT = {"shape": (1, 1, 4, 4)}
SMALL_NET = {"channels": (4, 8), "groups": 2, "attention_head_dim": 4}
TINY = {"channels": (16, 32), "size": (16, 16), "groups": 8}

SMALL = {
    # Attention in a level, two layers, no square.
    "unet-attention": lambda o, n: unet(
        o, n, size=(6, 10), layers=2, attention=(1,), **SMALL_NET),
    # Channel counts that divide by nothing handy, three levels, an odd lowest level, batch 3.
    "unet-odd": lambda o, n: unet(
        o, n, batch=3, channels=(3, 6, 9), size=(12, 20), groups=3, attention_head_dim=3),
    # Heads of 8 channels, as the seed model has, with kernels of their own; 60 tokens.
    "unet-heads": lambda o, n: unet(o, n, channels=(8, 16), size=(12, 20), groups=4),
    # Each option off its default; one group and one head.
    "unet-options": lambda o, n: unet(
        o, n, batch=1, channels=(4, 8), size=(8, 12), groups=1, attention=(0,),
        attention_head_dim=None, downsample_padding=0, add_attention=False,
        flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-3),
    # A lowest level of one pixel: its group norms have two numbers a group, or one; attention one token.
    "unet-pixel": lambda o, n: unet(o, n, channels=(4, 8), size=(2, 2), groups=4),
    "unet-pixel-alone": lambda o, n: unet(
        o, n, channels=(6, 6), size=(2, 2), groups=6, attention_head_dim=3),
    "unet-pixel-attention": lambda o, n: unet(
        o, n, channels=(4, 4, 8), size=(4, 4), groups=4, attention=(1, 2), attention_head_dim=4),
    "ddpm-8": lambda o, n: scheduler(o, n, DDPMScheduler, 8, **DOT),
    "ddim-6": lambda o, n: scheduler(o, n, DDIMScheduler, 6, step_options={"eta": 0.0}, **DOT),
    "dpmpp-2m-10": lambda o, n: scheduler(o, n, DPMSolverMultistepScheduler, 10, **SOLVER, **DOT),
    "sample": lambda o, n: sample(
        o, n, steps=3, cfg=2.0, channels=(8, 16), size=(16, 16), groups=4),
    # The nodules' mask in the second channel: fractions, and an image without any.
    "sample-nodules": lambda o, n: sample(
        o, n, steps=3, cfg=2.0, batch=3, placed=True, channels=(8, 16), size=(12, 16), groups=4),
    "train": lambda o, n: train(o, n, batch=2, size=(6, 10), **SMALL_NET),
    # One channel a group, as 32 groups on 32 channels: conv2 and conv_shortcut before the last norm too.
    "train-alone": lambda o, n: train(
        o, n, batch=2, size=(4, 4), channels=(4,), groups=4, attention_head_dim=4),
    "train-pixel": lambda o, n: train(
        o, n, batch=2, size=(2, 2), channels=(4, 4), groups=4, attention_head_dim=4),
    "train-options": lambda o, n: train(
        o, n, steps=8, batch=2, size=(6, 10), prediction_type="v_prediction", snr_gamma=5.0,
        max_grad_norm=0.005, lr_scheduler="cosine", lr_warmup_steps=1, **SMALL_NET),
    "metrics": lambda o, n: metrics(o, n, size=(40, 48), levels=(0.05, 0.5)),
}

LARGE = {
    "unet-pixel-32": lambda o, n: unet(o, n, channels=(32, 64), size=(2, 2)),
    "unet-pixel-96": lambda o, n: unet(o, n, channels=SEED_WIDTHS, size=(4, 4)),
    "train-groups-32": lambda o, n: train(o, n, channels=(32,), size=(8, 8)),
    "train-groups-32-64": lambda o, n: train(o, n, channels=(32, 64), size=(8, 8)),
    "train-pixel-32": lambda o, n: train(o, n, channels=(32, 64), size=(2, 2)),
    "unet-64": lambda o, n: unet(o, n, channels=SEED_WIDTHS, size=(64, 64)),
    "unet-32x48": lambda o, n: unet(o, n, channels=(32, 64, 128), size=(32, 48)),
    "unet-attention-24x40": lambda o, n: unet(
        o, n, channels=SEED_WIDTHS, size=(24, 40), layers=2, attention=(1,)),
    "unet-attention-all": lambda o, n: unet(
        o, n, channels=(16, 32), size=(24, 40), layers=2, groups=8, attention=(0, 1)),
    "unet-batch-1": lambda o, n: unet(o, n, batch=1, **TINY),
    "unet-batch-3": lambda o, n: unet(o, n, batch=3, **TINY),
    "unet-groups-4": lambda o, n: unet(o, n, channels=(16, 32), size=(16, 16), groups=4),
    "unet-padding-0": lambda o, n: unet(o, n, downsample_padding=0, **TINY),
    "unet-no-attention": lambda o, n: unet(o, n, add_attention=False, **TINY),
    "unet-one-head": lambda o, n: unet(o, n, attention=(1,), attention_head_dim=None, **TINY),
    "unet-head-4": lambda o, n: unet(o, n, attention=(1,), attention_head_dim=4, **TINY),
    "unet-sin-cos": lambda o, n: unet(o, n, flip_sin_to_cos=False, **TINY),
    "unet-shift-1": lambda o, n: unet(o, n, freq_shift=1, **TINY),
    "unet-sin-cos-shift-1": lambda o, n: unet(
        o, n, flip_sin_to_cos=False, freq_shift=1, **TINY),
    "unet-eps": lambda o, n: unet(o, n, norm_eps=1e-2, **TINY),
    "unet-one-level": lambda o, n: unet(o, n, channels=(16,), size=(15, 17), groups=8),
    "unet-four-levels": lambda o, n: unet(
        o, n, channels=(8, 16, 16, 24), size=(24, 40), groups=4, attention=(2,)),
    "unet-tall": lambda o, n: unet(o, n, channels=(16, 32), size=(50, 6), groups=8),
    "sample-8-cfg-3.5": lambda o, n: sample(o, n, steps=8, cfg=3.5, **TINY),
    "sample-batch-1": lambda o, n: sample(
        o, n, steps=8, cfg=3.5, batch=1, channels=(16, 32), size=(16, 24), groups=8,
        attention=(1,)),
    "train-acc-1": lambda o, n: train(o, n, steps=5, grad_acc=1, lr=3e-4, ema_decay=0.999, **TINY),
    "train-acc-3": lambda o, n: train(o, n, steps=6, grad_acc=3, batch=3, **TINY),
    "ddpm-1000": lambda o, n: scheduler(o, n, DDPMScheduler, 1000, **DOT),
    "ddim-50": lambda o, n: scheduler(o, n, DDIMScheduler, 50, step_options={"eta": 0.0}),
    "dpmpp-2m-25": lambda o, n: scheduler(o, n, DPMSolverMultistepScheduler, 25, **SOLVER),
    "metrics-100x129": lambda o, n: metrics(o, n, size=(100, 129)),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("set", choices=["small", "large"])
    parser.add_argument("out")
    parser.add_argument("--only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for case, make in (SMALL if args.set == "small" else LARGE).items():
        if args.only in (None, case):
            make(args.out, case)
