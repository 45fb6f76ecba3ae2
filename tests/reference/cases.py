"""Reference cases of whole models: what PyTorch and diffusers compute, a .safetensors file a case.

A file's string metadata holds `kind` and `config` (JSON); inputs, timesteps and noises are tensors,
so that comparing needs no matching random generator. `unet` and `train` are computed in float64 and
rounded once. The kinds and their tensors:

  unet       param.NAME, input.sample, input.timestep, target; output.sample, loss, grad.NAME,
             grad.input.sample
  scheduler  timesteps, alphas_cumprod, x [N+1, ...], eps [N, ...], noise [N, ...],
             add_noise.{sample,noise,timesteps,output}
  sample     param.NAME, x_T, lung_mask, class_map, noise [N, ...]; trajectory [N, ...], output
  train      param.NAME; per micro-batch lung_mask, class_map, ct, t, noise, loss; final.NAME,
             ema.NAME
  metrics    generated, target; psnr, ssim, mse
"""

import json
import os

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from safetensors.torch import save_file

TIMESTEPS = 1000


def write(out, name, kind, config, tensors):
    path = os.path.join(out, f"{name}.safetensors")
    os.makedirs(out, exist_ok=True)
    tensors = {k: v.detach().contiguous().clone() for k, v in tensors.items()}
    save_file(tensors, path, metadata={"kind": kind, "config": json.dumps(config)})
    print(f"{os.path.getsize(path):>10,}  {path}")


def unet_config(channels, size, layers=1, groups=32, attention=(), **options):
    """The keys of a diffusers UNet2DModel; `attention` lists the levels that have it."""
    down = ["AttnDownBlock2D" if i in attention else "DownBlock2D" for i in range(len(channels))]
    return {
        "sample_size": list(size),
        "in_channels": 3,
        "out_channels": 1,
        "block_out_channels": list(channels),
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
        "layers_per_block": layers,
        "norm_num_groups": groups,
        **options,
    }


def build(config, seed):
    """The model with every parameter off its initial value, so that none is a silent 0 or 1."""
    torch.manual_seed(seed)
    model = UNet2DModel(**{**config, "sample_size": tuple(config["sample_size"])})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def parameters(model, prefix="param"):
    return {f"{prefix}.{k}": p.detach().float() for k, p in model.named_parameters()}


def unet(out, name, batch=2, seed=1, **kw):
    """Forward pass, mean squared error, and the gradients of every parameter and of the input."""
    config = unet_config(**kw)
    model = build(config, seed)
    h, w = config["sample_size"]
    sample, target = torch.randn(batch, 3, h, w), torch.randn(batch, 1, h, w)
    timestep = torch.randint(0, TIMESTEPS, (batch,))
    tensors = parameters(model)
    model = model.double()
    x = sample.double().requires_grad_()
    y = model(x, timestep).sample
    loss = F.mse_loss(y, target.double())
    loss.backward()
    tensors |= {f"grad.{k}": p.grad.float() for k, p in model.named_parameters()}
    tensors |= {
        "input.sample": sample,
        "input.timestep": timestep.int(),
        "target": target,
        "output.sample": y.float(),
        "loss": loss.float().reshape(1),
        "grad.input.sample": x.grad.float(),
    }
    write(out, name, "unet", config, tensors)


def scheduler(out, name, cls, steps, shape=(2, 1, 16, 16), seed=2, step_options=None, **options):
    """A reverse trajectory from recorded model outputs, and the forward process."""
    step_options = step_options or {}
    scheduler = cls(num_train_timesteps=TIMESTEPS, **options)
    scheduler.set_timesteps(steps)
    random = torch.Generator().manual_seed(seed)
    draws, same_draws = (torch.Generator().manual_seed(seed + 1) for _ in range(2))
    stochastic = cls is DDPMScheduler
    x = torch.randn(shape, generator=random)
    xs, outputs, noises = [x], [], []
    for t in scheduler.timesteps:
        output = 0.9 * x + 0.3 * torch.randn(shape, generator=random)
        drawn = stochastic and int(t) > 0
        noises.append(torch.randn(shape, generator=same_draws) if drawn else torch.zeros(shape))
        extra = {"generator": draws} if stochastic else {}
        x = scheduler.step(output, t, x, **step_options, **extra).prev_sample
        xs.append(x)
        outputs.append(output)
    clean, noise = (torch.randn(shape, generator=random) for _ in range(2))
    t = torch.randint(0, TIMESTEPS, (shape[0],), generator=random)
    config = {
        "scheduler": cls.__name__,
        "num_inference_steps": steps,
        "num_train_timesteps": TIMESTEPS,
        **options,
        **step_options,
    }
    write(out, name, "scheduler", config, {
        "timesteps": scheduler.timesteps.int(),
        "alphas_cumprod": scheduler.alphas_cumprod,
        "x": torch.stack(xs),
        "eps": torch.stack(outputs),
        "noise": torch.stack(noises),
        "add_noise.sample": clean,
        "add_noise.noise": noise,
        "add_noise.timesteps": t.int(),
        "add_noise.output": scheduler.add_noise(clean, noise, t),
    })


def condition(batch, size, random):
    """Lung masks and class maps; every second class map is 1."""
    mask = (torch.rand(batch, 1, *size, generator=random) > 0.4).float()
    classes = (torch.arange(batch) % 2 == 0).float().view(-1, 1, 1, 1)
    return mask, classes.expand(batch, 1, *size).contiguous()


def nodules(batch, size):
    """Class maps of a model of nodule masks: each pixel's share of a disc; the last image has none."""
    h, w = size
    fine = 8
    y, x = torch.meshgrid(torch.arange(h * fine), torch.arange(w * fine), indexing="ij")
    discs = [(x - 4.2 * fine - 3 * i) ** 2 + (y - 0.6 * h * fine) ** 2 < (2.6 * fine) ** 2
             for i in range(batch)]
    discs[-1] = torch.zeros_like(discs[-1])
    return F.avg_pool2d(torch.stack(discs)[:, None].float(), fine)


def sample(out, name, steps, cfg, batch=2, seed=3, placed=False, **kw):
    """DDPM sampling with classifier-free guidance, from recorded noise.

    `placed`: the class map is the nodules' mask, as `train --condition nodule-mask` has it."""
    config = unet_config(**kw)
    model = build(config, seed)
    scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS)
    scheduler.set_timesteps(steps)
    random = torch.Generator().manual_seed(seed)
    draws, same_draws = (torch.Generator().manual_seed(seed + 1) for _ in range(2))
    mask, classes = condition(batch, config["sample_size"], random)
    if placed:
        classes = nodules(batch, config["sample_size"])
    x = torch.randn(mask.shape, generator=random)
    start, noises, xs = x, [], []
    with torch.no_grad():
        for t in scheduler.timesteps:
            conditional = model(torch.cat([mask, classes, x], 1), t).sample
            unconditional = model(torch.cat([mask, torch.zeros_like(classes), x], 1), t).sample
            guided = unconditional + cfg * (conditional - unconditional)
            drawn = int(t) > 0
            noises.append(
                torch.randn(x.shape, generator=same_draws) if drawn else torch.zeros_like(x))
            x = scheduler.step(guided, t, x, generator=draws).prev_sample
            xs.append(x)
    write(out, name, "sample",
          {"unet": config, "num_inference_steps": steps, "cfg_scale": cfg}, {
              **parameters(model),
              "x_T": start,
              "lung_mask": mask,
              "class_map": classes,
              "noise": torch.stack(noises),
              "trajectory": torch.stack(xs),
              "output": x.clamp(-1, 1),
          })


def train(out, name, steps=6, grad_acc=2, lr=1e-3, ema_decay=0.9, batch=4, seed=4,
          prediction_type="epsilon", snr_gamma=None, max_grad_norm=None, lr_scheduler=None,
          lr_warmup_steps=0, **kw):
    """AdamW on the mean gradient of `grad_acc` micro-batches; EMA after every micro-batch.

    What the model predicts, loss weights, clipping and learning rates as in diffusers' training
    scripts; those that are not the default are named in the metadata."""
    config = unet_config(**kw)
    model = build(config, seed)
    tensors = parameters(model)
    model = model.double()
    scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS, prediction_type=prediction_type)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    rates = get_scheduler(lr_scheduler or "constant", optimizer, num_warmup_steps=lr_warmup_steps,
                          num_training_steps=steps // grad_acc)
    alphas = scheduler.alphas_cumprod.double()
    snr = alphas / (1 - alphas)  # compute_snr of diffusers, in float64
    ema = {k: p.detach().clone() for k, p in model.named_parameters()}
    random = torch.Generator().manual_seed(seed)
    size = config["sample_size"]
    rows = {k: [] for k in ("lung_mask", "class_map", "ct", "t", "noise", "loss")}
    for i in range(steps):
        mask, classes = condition(batch, size, random)
        ct = torch.rand(batch, 1, *size, generator=random) * 2 - 1
        t = torch.randint(0, TIMESTEPS, (batch,), generator=random)
        noise = torch.randn(batch, 1, *size, generator=random)
        noisy = scheduler.add_noise(ct.double(), noise.double(), t)
        prediction = model(torch.cat([mask.double(), classes.double(), noisy], 1), t).sample
        target = {
            "epsilon": noise.double(),
            "sample": ct.double(),
            "v_prediction": scheduler.get_velocity(ct.double(), noise.double(), t),
        }[prediction_type]
        loss = F.mse_loss(prediction, target, reduction="none").mean((1, 2, 3))
        if snr_gamma is not None:
            capped = snr[t].clamp(max=snr_gamma)
            loss = loss * {"epsilon": capped / snr[t], "sample": capped,
                           "v_prediction": capped / (snr[t] + 1)}[prediction_type]
        loss = loss.mean()
        (loss / grad_acc).backward()
        if (i + 1) % grad_acc == 0:
            if max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
            optimizer.step()
            rates.step()
            optimizer.zero_grad()
        with torch.no_grad():
            for k, p in model.named_parameters():
                ema[k].mul_(ema_decay).add_(p, alpha=1 - ema_decay)
        row = (mask, classes, ct, t.int(), noise, loss.detach().float().reshape(1))
        for values, value in zip(rows.values(), row):
            values.append(value)
    tensors |= {k: torch.stack(v) for k, v in rows.items()}
    tensors |= parameters(model, "final") | {f"ema.{k}": v.float() for k, v in ema.items()}
    options = {"prediction_type": prediction_type, "snr_gamma": snr_gamma,
               "max_grad_norm": max_grad_norm, "lr_scheduler": lr_scheduler,
               "lr_warmup_steps": lr_warmup_steps}
    write(out, name, "train", {
        **{k: v for k, v in options.items() if v not in (None, 0, "epsilon")},
        "unet": config,
        "lr": lr,
        "grad_acc": grad_acc,
        "ema_decay": ema_decay,
        "weight_decay": 0.01,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
    }, tensors)


def metrics(out, name, size, levels=(0.02, 0.1, 0.3, 0.7), seed=5):
    """PSNR, SSIM and MSE of torchmetrics, a pair at a time, on images in [-1, 1]."""
    from torchmetrics.functional import (mean_squared_error, peak_signal_noise_ratio,
                                         structural_similarity_index_measure)
    torch.manual_seed(seed)
    h, w = size
    coarse = torch.randn(len(levels), 1, h // 8, w // 8)
    target = F.interpolate(coarse, size=size, mode="bicubic").clamp(-1, 1)
    noise = torch.tensor(levels).view(-1, 1, 1, 1) * torch.randn_like(target)
    generated = (target + noise).clamp(-1, 1)

    def each(metric, **options):
        return torch.stack([
            metric(a[None].contiguous(), b[None].contiguous(), **options)
            for a, b in zip(generated, target)
        ]).float()

    write(out, name, "metrics", {"data_range": 2.0}, {
        "generated": generated,
        "target": target,
        "psnr": each(peak_signal_noise_ratio, data_range=2.0),
        "ssim": each(structural_similarity_index_measure, data_range=2.0),
        "mse": each(mean_squared_error),
    })
