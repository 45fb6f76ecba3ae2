"""Adds HTJ2K files to tests/fixtures/dicom (after make_dicom_fixtures.py): encoded by OpenJPH, checked
by OpenJPEG.

    pip install imagecodecs pydicom==3.0.2 numpy==2.4.6
    python tests/reference/make_htj2k_fixtures.py
"""
import json, pathlib
import imagecodecs, numpy as np, pydicom
from pydicom.encaps import encapsulate

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "dicom"
expected = json.loads((OUT / "expected.json").read_text())
for name in ("signed", "unsigned"):
    for uid, options in ((201, {}), (202, dict(progressionorder="RPCL"))):
        ds = pydicom.dcmread(OUT / f"{name}.explicit.dcm")
        pixels = ds.pixel_array
        try:
            code = imagecodecs.htj2k_encode(pixels, reversible=True, **options)
        except TypeError:
            code = imagecodecs.htj2k_encode(pixels, reversible=True)
        assert np.array_equal(imagecodecs.jpeg2k_decode(code), pixels)  # OpenJPEG
        ds.PixelData = encapsulate([code])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = f"1.2.840.10008.1.2.4.{uid}"
        file = f"{name}.htj2k.{uid}.dcm"
        ds.save_as(OUT / file)
        expected[file] = expected[f"{name}.explicit.dcm"]
(OUT / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
