"""PyRadiomics' features of slices, for tests/metrics/radiomics_test.ts.

    pip install "numpy<2" "setuptools<70" wheel versioneer cython SimpleITK PyWavelets pykwalify six
    pip install --no-build-isolation pyradiomics==3.0.1
    python make_radiomics.py SHARED ../fixtures/metrics/radiomics.json

SHARED has the real slices (ct/npy, ct/dicom): only their features are stored. Two slices made by
`synthetic`, which the test repeats, need no data.
"""

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from radiomics import firstorder, glcm, glrlm


def synthetic(height, width, kind):
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.floor(-600 + 300 * np.sin(0.31 * x + 0.17 * y) * np.cos(0.23 * y) + 0.5)
    mask = ((x - width / 2) / (0.45 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 < 1
    if kind == "hole":  # a mask of two pieces with a hole, and non-integer values
        image = image / 7
        mask &= ((x - width / 2) ** 2 > 9) & (np.abs(y - height / 2) > 2)
    if kind == "flat":
        image = image * 0 - 612.5
    return image, mask


def features(image, mask):
    volume = sitk.GetImageFromArray(image[None].astype(np.float64))
    label = sitk.GetImageFromArray(mask[None].astype(np.uint8))
    values = {}
    for name, cls in (("firstorder", firstorder.RadiomicsFirstOrder),
                      ("glcm", glcm.RadiomicsGLCM), ("glrlm", glrlm.RadiomicsGLRLM)):
        extractor = cls(volume, label, binWidth=25)
        extractor.enableAllFeatures()
        for key, value in extractor.execute().items():
            values[f"{name}_{key}"] = float(value)
    values.pop("firstorder_TotalEnergy")
    return values


def main():
    shared = Path(sys.argv[1])
    real = {}
    for index in ("000", "007", "015", "022", "029"):
        image = np.load(shared / f"ct/npy/LUNG01_slice_{index}.npy")
        mask = np.load(shared / f"ct/npy/LUNG01_lung_mask_{index}.npy") > 0
        real[f"LUNG01_slice_{index}"] = features(image, mask)
    made = {kind: features(*synthetic(40, 33, kind)) for kind in ("plain", "hole", "flat")}
    Path(sys.argv[2]).write_text(json.dumps({"real": real, "synthetic": made}, indent=1) + "\n")


main()
