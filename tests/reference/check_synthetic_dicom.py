"""Reads DICOM files that `deno task sample --format dicom` wrote with pydicom: are they valid, and
where do they say they come from?

    python tests/reference/check_synthetic_dicom.py RUN FOLDER
"""

import hashlib
import pathlib
import sys

import pydicom
from pydicom.sr.codedict import codes

run, folder = map(pathlib.Path, sys.argv[1:3])
provenance = hashlib.sha256((run / "provenance.json").read_bytes()).hexdigest()
pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE
files = sorted(folder.glob("*.dcm"))
assert files, f"{folder} holds no .dcm"
for file in files:
    data = pydicom.dcmread(file)
    for element in data.iterall():  # reads, and so validates, every value
        element.value
    assert data.SyntheticData == "YES"
    (equipment,) = data.ContributingEquipmentSequence
    (purpose,) = equipment.PurposeOfReferenceCodeSequence
    code = (purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning)
    known = codes.DCM.ProcessingEquipment
    assert code == (known.value, known.scheme_designator, known.meaning), code
    assert provenance in equipment.ContributionDescription, equipment.ContributionDescription
    pixels = data.pixel_array * data.RescaleSlope + data.RescaleIntercept
    print(f"{file.name}: {pixels.shape}, {pixels.min():.0f} to {pixels.max():.0f} HU, "
          f"{equipment.Manufacturer}: {equipment.ContributionDescription}")
