"""Golden values of PSNR, SSIM (both border rules), MS-SSIM and MSE for tests/metrics.

    pip install torch numpy safetensors torchmetrics==1.9.0
    pip install --no-deps --target OLD torchmetrics==1.4.0
    python make_image_metrics.py OLD ../fixtures/metrics

OLD holds the torchmetrics that crops 5 pixels all round before it averages. It is imported in a
process of its own. `wave` below is repeated in the test, so that large images need no file.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

HEIGHT, WIDTH = 40, 33
SIZES = [[176, 180], [128, 128], [100, 129]]


def pairs():
    random = np.random.default_rng(2020)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = np.clip(np.sin(x / 5.0) * np.cos(y / 7.0) * 1.2, -1, 1)
    noisy = [np.clip(base + s * random.standard_normal(base.shape), -1, 1) for s in (0.02, 0.3, 1)]
    constant = [np.full(base.shape, 0.5), np.full(base.shape, -0.5)]
    inside = ((x - 16) ** 2 / 120 + (y - 20) ** 2 / 200) < 1
    generated = np.stack([*noisy, constant[0], noisy[1] * inside]).astype(np.float32)
    target = np.stack([base, base, base, constant[1], base * inside]).astype(np.float32)
    return generated, target


def wave(height, width, phase):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    value = 0.6 * np.sin(0.11 * x + 0.07 * y + phase) + 0.3 * np.cos(0.9 * x - 0.5 * y + 2 * phase)
    return value.astype(np.float32)


def score():
    import torchmetrics
    from torchmetrics.functional import image as F

    generated, target = (torch.from_numpy(v)[:, None] for v in pairs())
    result = {"torchmetrics": torchmetrics.__version__}
    rows = range(len(generated))
    one = lambda f: [float(f(generated[i : i + 1], target[i : i + 1])) for i in rows]
    result["ssim"] = one(lambda a, b: F.structural_similarity_index_measure(a, b, data_range=2.0))
    result["psnr"] = one(lambda a, b: F.peak_signal_noise_ratio(a, b, data_range=2.0))
    result["mse"] = one(lambda a, b: ((a - b) ** 2).mean())
    result["ms_ssim"] = []
    for height, width in SIZES:
        a, b = (torch.from_numpy(wave(height, width, p))[None, None] for p in (0.0, 0.4))
        betas = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
        scales = 5 if min(height, width) >= 176 else 4
        betas = betas if scales == 5 else tuple(v / sum(betas[:4]) for v in betas[:4])
        value = F.multiscale_structural_similarity_index_measure(a, b, data_range=2.0, betas=betas)
        result["ms_ssim"].append({"height": height, "width": width, "value": float(value)})
    return result


def main():
    if sys.argv[1] == "--score":
        print(json.dumps(score()))
        return
    old, out = Path(sys.argv[1]), Path(sys.argv[2])
    generated, target = pairs()
    save_file({"generated": generated, "target": target}, out / "image_pairs.safetensors")
    run = lambda env: json.loads(
        subprocess.run([sys.executable, __file__, "--score"], env=env, check=True,
                       capture_output=True).stdout
    )
    import os

    values = {"padded": run(dict(os.environ)),
              "cropped": run(dict(os.environ, PYTHONPATH=str(old)))}
    (out / "image_metrics.json").write_text(json.dumps(values, indent=2) + "\n")


main()
