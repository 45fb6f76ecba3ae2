"""Writes tests/fixtures/dicom and nifti: one phantom slice in every encoding the reader knows.

Needs dcmtk (apt) and pydicom, pylibjpeg-openjpeg, nibabel (pip). The slices come from
`deno task phantom --dicom --out SRC --patients 2 --slices 2 --size 64 --detail 64`:
    python tests/reference/make_dicom_fixtures.py SRC
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import nibabel
import numpy as np
import pydicom
from pydicom.uid import JPEG2000, JPEG2000Lossless

HERE = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
OUT = HERE / "dicom"
OUT.mkdir(parents=True, exist_ok=True)
(HERE / "nifti").mkdir(exist_ok=True)


def run(*command):
    subprocess.run(command, check=True)


def sha(pixels, dtype):
    data = np.ascontiguousarray(pixels).astype(dtype).tobytes()
    return hashlib.sha256(data).hexdigest()[:16]


expected = {}
source = pathlib.Path(sys.argv[1])
for name, patient in [("unsigned", "PHANTOM-0001"), ("signed", "PHANTOM-0002")]:
    path = sorted((source / patient).rglob("*.dcm"))[0]
    plain = OUT / f"{name}.explicit.dcm"
    plain.write_bytes(path.read_bytes())
    dataset = pydicom.dcmread(plain)
    pixels = dataset.pixel_array
    digest = sha(pixels, "<i2" if name == "signed" else "<u2")
    variants = {
        "implicit": ["dcmconv", "+ti"],
        "big_endian": ["dcmconv", "+tb"],
        "deflated": ["dcmconv", "+td"],
        "rle": ["dcmcrle"],
        "jpegls.80": ["dcmcjpls", "+el"],
        "jpegls_fragments.80": ["dcmcjpls", "+el", "+fs", "1"],
        "jpeg_lossless.70": ["dcmcjpeg", "+e1"],
    }
    for predictor in range(1, 8):
        variants[f"jpeg_lossless_p{predictor}.57"] = ["dcmcjpeg", "+el", "+sv", str(predictor)]
    for variant, command in variants.items():
        target = OUT / f"{name}.{variant}.dcm"
        run(command[0], *command[1:], str(plain), str(target))
    for uid, variant in [(JPEG2000Lossless, "jpeg2000.90")]:
        copy = pydicom.dcmread(plain)
        copy.compress(uid, encoding_plugin="pylibjpeg")
        copy.save_as(OUT / f"{name}.{variant}.dcm")
    for file in OUT.glob(f"{name}.*.dcm"):
        expected[file.name] = digest

# Twelve bits, lossy: refused by name. Eight bits, lossy: read.
small = pydicom.dcmread(OUT / "unsigned.explicit.dcm")
twelve = small.pixel_array.astype("<u2")
small.PixelData = twelve.tobytes()
small.BitsStored, small.HighBit = 12, 11
small.save_as(OUT / "tmp12.dcm")
run("dcmcjpeg", "+ee", str(OUT / "tmp12.dcm"), str(OUT / "twelve_bit.jpeg_extended.51.dcm"))
(OUT / "tmp12.dcm").unlink()
eight = pydicom.dcmread(OUT / "unsigned.explicit.dcm")
values = (eight.pixel_array // 16).clip(0, 255).astype("u1")
eight.PixelData = values.tobytes()
eight["PixelData"].VR = "OB"
eight.BitsAllocated, eight.BitsStored, eight.HighBit = 8, 8, 7
eight.RescaleSlope = "16"
eight.save_as(OUT / "tmp8.dcm")
run("dcmcjpeg", "+eb", "+q", "95", str(OUT / "tmp8.dcm"), str(OUT / "eight_bit.jpeg_baseline.50.dcm"))
(OUT / "tmp8.dcm").unlink()
# dcmcjpeg stretches the values: what a decoder gets is asked of another decoder.
decoded = pydicom.dcmread(OUT / "eight_bit.jpeg_baseline.50.dcm").pixel_array
np.save(OUT / "eight_bit.npy", decoded.astype("u1"))

(OUT / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")

# A volume whose axes run otherwise than DICOM's: 5 sagittal steps of 6 × 7, labels 1 in one corner.
rng = np.random.default_rng(0)
dicom_order = rng.integers(-1000, 400, (5, 6, 7)).astype("<i2")  # slices, rows, columns (LPS)
expected_nifti = {"shape": [5, 6, 7], "pixelSpacing": [0.8, 0.7], "sliceSpacing": 2.5}
ras = np.transpose(dicom_order, (2, 1, 0))[::-1, ::-1, :]  # x to the right, y to the front
affine = np.diag([0.7, 0.8, 2.5, 1.0])
affine[:3, 3] = [-(10 + 6 * 0.7), -(20 + 5 * 0.8), -30]
nibabel.save(nibabel.Nifti1Image(ras, affine), HERE / "nifti" / "ras.nii.gz")
lps = np.diag([-0.7, -0.8, 2.5, 1.0])
lps[:3, 3] = [-10, -20, -30]
nibabel.save(nibabel.Nifti1Image(np.transpose(dicom_order, (2, 1, 0)), lps), HERE / "nifti" / "lps.nii")
permuted = np.transpose(dicom_order, (0, 2, 1))  # slice, column, row
affine = np.array([[0, -0.7, 0, -10], [0, 0, -0.8, -20], [2.5, 0, 0, -30], [0, 0, 0, 1]])
image = nibabel.Nifti2Image(permuted.astype("<f4"), affine)
nibabel.save(image, HERE / "nifti" / "permuted_f4.nii.gz")
np.save(HERE / "nifti" / "volume.npy", dicom_order)
(HERE / "nifti" / "expected.json").write_text(json.dumps(expected_nifti) + "\n")
