"""Reads every series below a folder to int16 HU volumes, as users do in Python; for bench:data.

    python tests/reference/read_dicom.py pydicom|simpleitk FOLDER
"""

import os
import resource
import sys
import time

import numpy as np


def with_pydicom(folder, names):
    import pydicom

    slices = []
    for name in names:
        slices.append(pydicom.dcmread(os.path.join(folder, name)))
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    volume = np.empty((len(slices), slices[0].Rows, slices[0].Columns), np.int16)
    for i, d in enumerate(slices):
        hu = d.pixel_array.astype(np.float32) * float(d.RescaleSlope) + float(d.RescaleIntercept)
        volume[i] = np.clip(np.rint(hu), -1024, 32767)
    return volume


def with_simpleitk(folder, _names):
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    for series in reader.GetGDCMSeriesIDs(folder):
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder, series))
        image = sitk.GetArrayFromImage(reader.Execute())
        return np.clip(image, -1024, 32767).astype(np.int16)


read = {"pydicom": with_pydicom, "simpleitk": with_simpleitk}[sys.argv[1]]
start, count, total = time.perf_counter(), 0, 0
for folder, _, names in sorted(os.walk(sys.argv[2])):
    names = sorted(n for n in names if n.endswith(".dcm"))
    if names:
        volume = read(folder, names)
        count += len(volume)
        total += int(volume.sum(dtype=np.int64))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{count} {seconds:.3f} {peak:.0f} {total}")
