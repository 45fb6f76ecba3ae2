"""frd-score's features and distance of slices, for tests/metrics/frd_test.ts.

    pip install "numpy<2" "setuptools<70" wheel versioneer cython SimpleITK PyWavelets pykwalify six \
        scipy pillow opencv-contrib-python-headless
    pip install --no-build-isolation pyradiomics==3.0.1
    pip install --no-deps frd-score==1.0.1
    python make_frd.py ../fixtures/metrics/frd.json
    python make_frd.py REAL GENERATED      # of two folders of PNG, each with its masks in FOLDER/masks

The slices are made by `synthetic`, which the test repeats. They go through files, as frd-score has it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from frd_score import frd

HEIGHT, WIDTH = 45, 38


def synthetic(phase, contrast, height=HEIGHT, width=WIDTH, small=False):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    wave = 300 * np.sin(0.31 * x + 0.17 * y + phase) * np.cos(0.23 * y)
    grain = 90 * np.sin(2.9 * x * (1 + phase / 7) + 1.3 * y) * np.sin(1.9 * y + 5 * phase)
    image = np.floor(-600 + contrast * (wave + grain) + 0.5)
    if small:  # a piece in the middle and a pixel (of the halved slice) by itself
        mask = ((x - 40) / 7) ** 2 + ((y - 33) / 5) ** 2 < 1
        return image, mask | ((x >= 54) & (x < 56) & (y >= 34) & (y < 36))
    mask = ((x - width / 2) / (0.45 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 < 1
    return image, mask & (np.abs(x - width / 2) > min(2, width / 20) + phase)


def files(folder, slices):
    images, masks = [], []
    for i, (image, mask) in enumerate(slices):
        for array, paths, name in ((image.astype(np.float32), images, "image"),
                                   (mask.astype(np.uint8), masks, "mask")):
            path = f"{folder}/{name}{i}.nii.gz"
            sitk.WriteImage(sitk.GetImageFromArray(array), path)
            paths.append(path)
    return images, masks


def main():
    if len(sys.argv) == 3:
        folders = [Path(p) for p in sys.argv[1:]]
        print(frd.compute_frd([str(f) for f in folders], num_workers=1,
                              paths_masks=[str(f / "masks") for f in folders]))
        return
    extractor = frd.get_feature_extractor("v1", image_dim=2)
    with (tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b,
          tempfile.TemporaryDirectory() as c):
        left = files(a, [synthetic(0.37 * i, 1.0) for i in range(10)])
        right = files(b, [synthetic(0.37 * i + 0.2, 1.1) for i in range(9)])
        others = files(c, [synthetic(0.2, 1.0, 15, 13), synthetic(0.4, 1.0, 90, 84, small=True)])
        rows = [frd.process_image_mask_pair(pair, feature_extractor=extractor)[1]
                for pair in [*list(zip(*left))[:2], *zip(*others)]]
        value = frd.compute_frd([left[0], right[0]], paths_masks=[left[1], right[1]], num_workers=1)
    fixture = {"features": rows, "frd": float(value)}
    Path(sys.argv[1]).write_text(json.dumps(fixture, indent=1) + "\n")


if __name__ == "__main__":
    main()
