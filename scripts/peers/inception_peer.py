"""The benchmark's peer for Inception features: torch-fidelity's network, the one that torchmetrics uses.

Runs on CUDA where there is one, else on all CPU cores.
"""

import math
import time

import torch
import torch_fidelity
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from serve import serve

BATCH = 16
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
state = {}


def setup(specs, folder, **_):
    flat = torch.frombuffer(bytearray(open(f"{folder}/weights.bin", "rb").read()), dtype=torch.float32)
    weights, at = {}, 0
    for spec in specs:
        count = math.prod(spec["shape"])
        weights[spec["name"]] = flat[at : at + count].reshape(spec["shape"]).clone()
        at += count
        if spec["name"].endswith("running_mean"):
            weights[spec["name"].replace("running_mean", "num_batches_tracked")] = torch.tensor(0)
    torch.save(weights, f"{folder}/weights.pth")
    model = FeatureExtractorInceptionV3("inception", ["2048"], f"{folder}/weights.pth")
    state["model"], state["folder"] = model.to(device), folder
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {"version": f"PyTorch {torch.__version__}, torch-fidelity {torch_fidelity.__version__}, {where}"}


def features(count, side, **_):
    raw = bytearray(open(f"{state['folder']}/slices.bin", "rb").read())
    slices = torch.frombuffer(raw, dtype=torch.float32).reshape(count, 1, side, side)
    rows = []
    start = time.perf_counter()
    with torch.inference_mode():
        for part in slices.split(BATCH):
            # As the original feeds torchmetrics: [0, 1], three channels, 299², bytes.
            images = ((part.to(device) + 1) / 2).repeat(1, 3, 1, 1)
            images = torch.nn.functional.interpolate(images, (299, 299), mode="bilinear", align_corners=False)
            rows.append(state["model"]((images * 255).byte())[0].float().cpu())
    milliseconds = 1000 * (time.perf_counter() - start)
    with open(f"{state['folder']}/features.bin", "wb") as file:
        file.write(torch.cat(rows).contiguous().numpy().tobytes())
    return {"milliseconds": milliseconds}


serve({"setup": setup, "features": features})
