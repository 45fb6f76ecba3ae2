"""FID, KID and Inception Score of given features, for tests/metrics/features_test.ts.

    pip install torch numpy scipy torchmetrics==1.9.0 torch-fidelity==0.4.0
    python make_feature_metrics.py ../fixtures/metrics/feature_metrics.json

The features come from an integer generator that the test repeats, so that none need be stored.
"""

import json
import sys

import numpy as np
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import _compute_fid


def uniforms(count, seed):
    """A 32-bit mix of the index (Wellons' lowbias32), in [0, 1) on a grid of 2^-24."""
    x = (np.arange(count, dtype=np.uint64) + np.uint64(seed * 1000003)) & np.uint64(0xFFFFFFFF)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    x ^= x >> np.uint64(16)
    return (x >> np.uint64(8)).astype(np.float64) / 2**24


def features(count, size, seed, shift):
    """Correlated in groups of four columns, exact in float32."""
    own = uniforms(count * size, seed).reshape(count, size)
    common = uniforms(count * (size // 4), seed + 7).reshape(count, size // 4)
    return own / 2 + np.repeat(common, 4, axis=1) / 2 + shift


def moments(x):
    x = torch.from_numpy(x)
    centred = x - x.mean(0)
    return x.mean(0), centred.T @ centred / (len(x) - 1)


def fid(a, b):
    return float(_compute_fid(*moments(a), *moments(b)))


def fid_exact(a, b):
    """By scipy's matrix square root, where covariances are regular."""
    (ma, sa), (mb, sb) = [[v.numpy() for v in moments(x)] for x in (a, b)]
    root = sqrtm(sa @ sb)
    return float(((ma - mb) ** 2).sum() + np.trace(sa + sb - 2 * root.real))


def main():
    small = features(200, 64, 1, 0), features(180, 64, 2, 0.125)
    few = features(32, 2048, 3, 0), features(32, 2048, 4, 0.03125)
    logits = features(53, 100, 5, 0) * 12
    kid = kid_features_to_metric(
        torch.from_numpy(small[0][:150]), torch.from_numpy(small[1][:150]), kid_subsets=1,
        kid_subset_size=150, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=2020, verbose=False)
    score = isc_features_to_metric(torch.from_numpy(logits), 10, True, 2020)
    result = {
        "fid": [
            {"n": [200, 180], "d": 64, "torchmetrics": fid(*small), "scipy": fid_exact(*small)},
            {"n": [32, 32], "d": 2048, "torchmetrics": fid(*few)},
        ],
        "kid": kid["kernel_inception_distance_mean"],
        "inception_score": [score["inception_score_mean"], score["inception_score_std"]],
        "permutation": np.random.RandomState(2020).permutation(20).tolist(),
    }
    with open(sys.argv[1], "w") as file:
        file.write(json.dumps(result, indent=2) + "\n")


main()
