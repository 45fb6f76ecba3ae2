"""Writes ops.safetensors: single operations and their gradients, as PyTorch computes them in float64.

    pip install torch==2.13.0 diffusers==0.40.0 safetensors
    python make_ops.py ../fixtures/reference

Tensors are CASE.NAME. What goes in is float32 (so that a GPU gets the very same numbers), what comes
out is float64; timestep embeddings are float32, as diffusers computes them. The metadata's `config`
gives each case's op and options. `grad_X` is the gradient of sum(output · grad_output) for X.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import save_file

tensors, config = {}, {}
random = torch.Generator().manual_seed(7)


def normal(*shape, mean=0.0, std=1.0):
    return mean + std * torch.randn(shape, generator=random)


def record(case, op, options, values):
    config[case] = {"op": op, **options}
    tensors.update({f"{case}.{k}": v.detach().contiguous().clone() for k, v in values.items()})


def differentiate(case, op, function, inputs, **options):
    """Records function(**inputs) and the gradient of each input, for a random output gradient."""
    leaves = {k: v.double().requires_grad_() for k, v in inputs.items()}
    output = function(**leaves)
    grad_output = normal(*output.shape) if output.dim() else torch.ones(())
    output.backward(grad_output.double())
    values = {**inputs, "grad_output": grad_output, "output": output}
    values |= {f"grad_{k}": leaf.grad for k, leaf in leaves.items()}
    # A scalar is stored as one element.
    record(case, op, options, {k: v.reshape(1) if v.dim() == 0 else v for k, v in values.items()})


def convolutions():
    def conv(case, batch, size, kernel, stride, padding):
        """padding: left, right, top, bottom"""
        inputs = {
            "input": normal(batch, 6, *size),
            "weight": normal(7, 6, kernel, kernel, std=0.2),
            "bias": normal(7),
        }

        def function(input, weight, bias):
            return F.conv2d(F.pad(input, padding), weight, bias, stride=stride)

        differentiate(case, "conv2d", function, inputs, stride=stride, padding=list(padding))

    conv("conv2d_3x3", 3, (3, 17), 3, 1, (1, 1, 1, 1))
    conv("conv2d_3x3_batch_1", 1, (3, 17), 3, 1, (1, 1, 1, 1))
    conv("conv2d_3x3_stride_2", 3, (3, 17), 3, 2, (1, 1, 1, 1))
    conv("conv2d_3x3_stride_2_even", 1, (4, 18), 3, 2, (1, 1, 1, 1))
    conv("conv2d_1x1", 3, (3, 17), 1, 1, (0, 0, 0, 0))
    # What diffusers does for downsample_padding = 0.
    conv("conv2d_3x3_asymmetric", 1, (3, 17), 3, 2, (0, 1, 0, 1))
    conv("conv2d_3x3_asymmetric_even", 3, (4, 18), 3, 2, (0, 1, 0, 1))
    conv("conv2d_3x3_one_pixel", 3, (1, 1), 3, 1, (1, 1, 1, 1))


def normalizations():
    def norm(case, input, groups, silu, eps=1e-5):
        channels = input.shape[1]
        inputs = {"input": input, "weight": normal(channels, mean=1.0, std=0.3),
                  "bias": normal(channels, std=0.3)}

        def function(input, weight, bias):
            y = F.group_norm(input, groups, weight, bias, eps)
            return F.silu(y) if silu else y

        op = "group_norm_silu" if silu else "group_norm"
        differentiate(case, op, function, inputs, groups=groups, eps=eps)

    for name, silu in (("group_norm", False), ("group_norm_silu", True)):
        norm(name, normal(3, 6, 3, 17), 3, silu)
        norm(f"{name}_large_mean", normal(1, 6, 3, 17, mean=1000.0), 3, silu)
    norm("group_norm_constant", torch.full((1, 6, 3, 17), 0.7), 3, silu=False)
    norm("group_norm_silu_one_group", normal(1, 6, 3, 17), 1, silu=True)
    norm("group_norm_silu_channel_a_group", normal(1, 6, 3, 17), 6, silu=True, eps=1e-6)


def products():
    differentiate("linear", "linear", F.linear,
                  {"input": normal(3, 6), "weight": normal(5, 6), "bias": normal(5)})
    differentiate("linear_rows", "linear", F.linear,
                  {"input": normal(3, 7, 6), "weight": normal(5, 6), "bias": normal(5)})

    def attention(case, batch, channels, size, heads, std=1.0):
        """Channel c belongs to head c // (channels / heads), as diffusers splits them."""
        def function(query, key, value):
            split = [x.flatten(2).unflatten(1, (heads, channels // heads)).transpose(2, 3)
                     for x in (query, key, value)]
            y = F.scaled_dot_product_attention(*split)
            return y.transpose(2, 3).flatten(1, 2).unflatten(2, size)

        inputs = {k: normal(batch, channels, *size, std=std) for k in ("query", "key", "value")}
        differentiate(case, "attention", function, inputs, heads=heads)

    attention("attention", 3, 6, (3, 17), heads=2)
    attention("attention_one_head", 1, 6, (3, 17), heads=1)
    attention("attention_head_of_1", 1, 6, (2, 3), heads=6)
    attention("attention_large", 1, 6, (3, 5), heads=2, std=12.0)  # softmax near one-hot


def elementwise():
    edges = torch.tensor([-200.0, -90.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 90.0, 200.0])
    differentiate("silu", "silu", F.silu, {"input": torch.cat([edges, normal(42, std=3.0)])})
    a, b = normal(3, 6, 3, 17), normal(3, 6, 3, 17)
    differentiate("multiply", "multiply", lambda a, b: a * b, {"a": a, "b": b})
    differentiate("add_channels", "add_channels", lambda input, channels: input
                  + channels[:, :, None, None], {"input": a, "channels": normal(3, 6)})
    differentiate("upsample_nearest", "upsample_nearest",
                  lambda input: F.interpolate(input, scale_factor=2.0, mode="nearest"),
                  {"input": normal(3, 6, 3, 17)})
    differentiate("concat", "concat", lambda a, b: torch.cat([a, b], 1),
                  {"a": normal(3, 6, 3, 17), "b": normal(3, 5, 3, 17)})
    differentiate("concat_three", "concat", lambda a, b, c: torch.cat([a, b, c], 1),
                  {"a": normal(1, 1, 3, 17), "b": normal(1, 1, 3, 17), "c": normal(1, 1, 3, 17)})
    differentiate("mse", "mse", F.mse_loss,
                  {"input": normal(3, 1, 3, 17), "target": normal(3, 1, 3, 17)})


def embeddings():
    timesteps = torch.tensor([0, 1, 2, 20, 500, 999], dtype=torch.int32)
    for dim in (6, 32):
        for flip in (False, True):
            for shift in (0, 1):
                output = get_timestep_embedding(timesteps, dim, flip_sin_to_cos=flip,
                                                downscale_freq_shift=shift)
                case = f"timestep_embedding_{dim}_flip_{int(flip)}_shift_{shift}"
                options = {"dim": dim, "flip_sin_to_cos": flip, "freq_shift": shift}
                record(case, "timestep_embedding", options,
                       {"timesteps": timesteps, "output": output})


def optimizers():
    def adamw(case, rates, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        start, gradients = normal(6, 17), normal(len(rates), 6, 17, std=0.1)
        gradients[1, 0] = 0.0  # a parameter that got no gradient still decays
        parameter = start.double().requires_grad_()
        optimizer = torch.optim.AdamW([parameter], lr=rates[0], betas=betas, eps=eps,
                                      weight_decay=weight_decay)
        rows = {"output": [], "exp_avg": [], "exp_avg_sq": []}
        for rate, gradient in zip(rates, gradients):
            optimizer.param_groups[0]["lr"] = rate
            parameter.grad = gradient.double()
            optimizer.step()
            rows["output"].append(parameter.detach().clone())
            for k in ("exp_avg", "exp_avg_sq"):
                rows[k].append(optimizer.state[parameter][k].clone())
        options = {"lr": list(rates), "betas": list(betas), "eps": eps,
                   "weight_decay": weight_decay}
        record(case, "adamw", options, {"param": start, "grads": gradients,
                                        **{k: torch.stack(v) for k, v in rows.items()}})

    adamw("adamw", (1e-3, 1e-3, 1e-3))
    adamw("adamw_options", (1e-2, 5e-3, 1e-4), betas=(0.8, 0.95), eps=1e-4, weight_decay=0.1)
    adamw("adamw_no_decay", (1e-3, 1e-3, 1e-3), weight_decay=0.0)

    average, params, decay = normal(6, 17), normal(3, 6, 17), 0.999
    rows, value = [], average.double()
    for param in params:
        value = decay * value + (1 - decay) * param.double()
        rows.append(value)
    record("ema", "ema", {"decay": decay},
           {"ema": average, "params": params, "output": torch.stack(rows)})


def diffusion():
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    sample, noise = normal(3, 1, 3, 17), normal(3, 1, 3, 17)
    timesteps = torch.tensor([0, 500, 999])
    record("q_sample", "q_sample", {"num_train_timesteps": 1000, "beta_schedule": "linear"}, {
        "sample": sample, "noise": noise, "timesteps": timesteps.int(),
        "alphas_cumprod": scheduler.alphas_cumprod,
        "output": scheduler.add_noise(sample.double(), noise.double(), timesteps),
    })
    conditional, unconditional = normal(3, 1, 3, 17), normal(3, 1, 3, 17)
    c, u = conditional.double(), unconditional.double()
    record("guidance", "guidance", {"scale": 3.5}, {
        "conditional": conditional, "unconditional": unconditional, "output": u + 3.5 * (c - u)})


if __name__ == "__main__":
    for make in (convolutions, normalizations, products, elementwise, embeddings, optimizers,
                 diffusion):
        make()
    path = os.path.join(sys.argv[1], "ops.safetensors")
    save_file(tensors, path, metadata={"kind": "ops", "config": json.dumps(config)})
    print(f"{os.path.getsize(path):,}  {path}: {len(config)} cases, {len(tensors)} tensors")
