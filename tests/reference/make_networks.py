"""InceptionV3 (FID) and LPIPS-AlexNet with seeded random weights, for tests/metrics/networks_test.ts.

    pip install torch torchvision torch-fidelity==0.4.0 lpips==0.1.4 torchmetrics==1.9.0
    python make_networks.py ../fixtures/metrics/networks.json

The networks are torch-fidelity's and lpips' own classes, in float64. Weights and images come from an
integer generator that the test repeats, so that the whole 22-million-parameter layout is checked
without storing it: of every stage 48 values and the norm are kept.
"""

import json
import math
import sys
import warnings

import lpips
import numpy as np
import torch
import torch.nn as nn
import torch_fidelity.feature_extractor_inceptionv3 as fidelity

from torchmetrics.image.fid import FrechetInceptionDistance

warnings.filterwarnings("ignore")


def uniforms(count, seed):
    """As in make_feature_metrics.py."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(seed * 1000003)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return (x >> np.uint64(8)).astype(np.float64) / 2**24


def fill(state):
    """Values in float32 by name: kernels keep the variance, norms are near 1."""
    filled = {}
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    for seed, name in enumerate(names):
        shape = state[name].shape
        u = uniforms(math.prod(shape), seed)
        if len(shape) > 1:
            values = (2 * u - 1) * math.sqrt(6 / math.prod(shape[1:]))
        elif name.endswith("running_var"):
            values = 0.5 + u
        elif name.endswith("bn.weight"):
            values = 0.75 + u / 2
        else:
            values = (u - 0.5) / 4
        filled[name] = torch.from_numpy(values.astype(np.float32)).double().reshape(shape)
    return filled


def image(channels, side, seed):
    """Bytes as (v - 128) / 128."""
    return (np.floor(uniforms(channels * side * side, seed) * 256) - 128) / 128


def summary(x):
    flat = x.detach().double().flatten().numpy()
    at = [i * (len(flat) - 1) // 47 for i in range(48)] if len(flat) > 48 else range(len(flat))
    return {"shape": list(x.shape), "norm": float(np.sqrt((flat**2).sum())),
            "values": [float(flat[i]) for i in at]}


def inception(divisor, classes):
    original_conv, original_linear = fidelity.BasicConv2d, nn.Linear

    class Narrow(nn.Module):  # BasicConv2d with fewer channels
        def __init__(self, inputs, outputs, **kwargs):
            super().__init__()
            inputs = inputs if inputs == 3 else inputs // divisor
            self.conv = nn.Conv2d(inputs, outputs // divisor, bias=False, **kwargs)
            self.bn = nn.BatchNorm2d(outputs // divisor, eps=0.001)

        forward = original_conv.forward

    fidelity.BasicConv2d = Narrow
    fidelity.nn.Linear = lambda inputs, outputs: original_linear(inputs // divisor, classes)
    fidelity.FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
    torch.load, load = (lambda *args, **kwargs: None), torch.load
    model = fidelity.FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path="x")
    torch.load = load
    fidelity.BasicConv2d, fidelity.nn.Linear = original_conv, original_linear
    model.double()
    missing = nn.Module.load_state_dict(model, fill(model.state_dict()), strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    return model.eval()


def run_inception(divisor, classes, side, grey):
    model = inception(divisor, classes)
    if grey:
        x = np.repeat(image(1, side, 99).reshape(1, 1, side, side), 3, axis=1)
    else:
        x = image(3, side, 99).reshape(1, 3, side, side)
    x = torch.from_numpy(x)
    stages = {}
    with torch.no_grad():
        for name, module in model.named_children():
            if name == "fc":
                break
            x = module(x)
            if not name.startswith(("MaxPool", "AvgPool")):
                stages[name] = summary(x)
        features = x.flatten(1)
        logits = features @ model.fc.weight.T
    return {"divisor": divisor, "classes": classes, "side": side, "grey": grey, "stages": stages,
            "features": summary(features), "logits": summary(logits)}


def run_lpips(side):
    model = lpips.LPIPS(pretrained=False, net="alex", pnet_rand=True, verbose=False).double().eval()
    names = {}
    for k in (0, 3, 6, 8, 10):
        names[f"features.{k}.weight"] = names[f"features.{k}.bias"] = None
    found = {}
    for name, value in model.net.state_dict().items():  # slice2.3.weight → features.3.weight
        found["features." + name.split(".", 1)[1]] = value
    assert set(found) == set(names), set(found)
    values = fill(found)
    state = {name: values["features." + name.split(".", 1)[1]] for name in model.net.state_dict()}
    model.net.load_state_dict(state)
    for layer, lin in enumerate([model.lin0, model.lin1, model.lin2, model.lin3, model.lin4]):
        weight = lin.model[-1].weight
        head = uniforms(weight.numel(), 50 + layer).astype(np.float32)
        weight.data = torch.from_numpy(head).double().reshape(weight.shape)
    a, b = (torch.from_numpy(image(1, side, seed).reshape(1, 1, side, side)).repeat(1, 3, 1, 1)
            for seed in (101, 102))
    with torch.no_grad():
        taps = model.net.forward(model.scaling_layer(a))
        return {"side": side, "taps": [summary(tap) for tap in taps], "value": float(model(a, b))}


def run_fid(side, count):
    """FID of masked grey images through torchmetrics, with the narrow network behind it."""
    model = inception(16, 20)

    class Extractor(nn.Module):
        num_features = 128

        def forward(self, x):
            # torchmetrics turns images into bytes for its own network only.
            x = x if x.dtype == torch.uint8 else (x.float() * 255).byte()
            x = (x.double() - 128) / 128
            for name, module in model.named_children():
                if name != "fc":
                    x = module(x)
            return x.flatten(1)

    y, x = np.mgrid[0:side, 0:side]
    mask = torch.from_numpy(((x - side / 2) ** 2 + (y - side / 3) ** 2 < side**2 / 9) * 1.0)
    fid = FrechetInceptionDistance(feature=Extractor(), normalize=True).set_dtype(torch.float64)
    for real in (True, False):
        for k in range(count):
            data = image(1, side, 200 + 50 * real + k).reshape(1, 1, side, side)
            data = torch.from_numpy(data).float() * (1 if real else 0.5)
            unit = ((data * mask.float() + 1) / 2).repeat(1, 3, 1, 1)
            unit = nn.functional.interpolate(unit, size=(299, 299), mode="bilinear")
            fid.update(unit, real=real)
    return {"side": side, "count": count, "value": float(fid.compute())}


def main():
    runs = [run_inception(16, 20, 299, False), run_inception(16, 20, 128, False),
            run_inception(1, 1008, 299, True), run_inception(1, 1008, 128, True)]
    result = {"inception": runs, "lpips": [run_lpips(64), run_lpips(131)],
              "fid": run_fid(48, 5)}
    text = json.dumps(result)
    with open(sys.argv[1], "w") as file:
        file.write(text.replace('"stages": {', '\n"stages": {\n').replace('}, "', '},\n"') + "\n")


main()
