"""Writes tests/fixtures/objects: a small CT series, SEG by highdicom, RTSTRUCT by pydicom, an enhanced
multi-frame CT; and the masks that highdicom reads back and that matplotlib fills (expected.npz' arrays
as .npy: slices from the feet up).

    pip install highdicom==0.28.2 pydicom==3.0.2 matplotlib==3.10.9 numpy==2.4.6
    python tests/reference/make_object_fixtures.py tests/fixtures/objects
"""
import copy, datetime, os, sys
import numpy as np, highdicom as hd
from matplotlib.path import Path
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (CTImageStorage, ExplicitVRLittleEndian, EnhancedCTImageStorage, RTStructureSetStorage,
                         RLELossless)

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)
ROWS, COLUMNS, SLICES, DY, DX, DZ = 17, 19, 5, 0.8, 0.7, 2.5
ORIGIN = np.array([-6.0, -7.0, 40.0])
UID = "1.2.826.0.1.3680043.8.498."
STUDY, SERIES, FRAME = UID + "1", UID + "2", UID + "3"
values = rng.integers(0, 2000, (SLICES, ROWS, COLUMNS)).astype("<u2")


def basic(sop_class, sop, modality, series):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = sop_class, sop
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = sop_class, sop, modality
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = STUDY, series, FRAME
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "OBJECTS-1", "", "", "O"
    ds.StudyID, ds.AccessionNumber, ds.StudyDate, ds.StudyTime = "1", "", "20200101", "000000"
    ds.ReferringPhysicianName, ds.SeriesNumber, ds.InstanceNumber = "", 1, 1
    ds.Manufacturer = "fixture"
    return ds


ct = []
for z in range(SLICES):
    ds = basic(CTImageStorage, f"{SERIES}.{z + 1}", "CT", SERIES)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.InstanceNumber = z + 1
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
    ds.PixelSpacing, ds.SliceThickness = [DY, DX], DZ
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = list(ORIGIN + [0, 0, DZ * z])
    ds.PixelData = values[z].tobytes()
    ds.save_as(f"{out}/ct{z}.dcm", enforce_file_format=True)
    ct.append(dcmread(f"{out}/ct{z}.dcm"))

# SEG: two segments, empty on some slices (frames left out), sizes whose bits fill no byte.
yy, xx = np.mgrid[:ROWS, :COLUMNS]
nodule = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
for z in (1, 2, 3):
    nodule[z] = (yy - 8) ** 2 + (xx - 11) ** 2 <= (9, 14, 5)[z - 1]
lung = np.zeros_like(nodule)
lung[1:] = (xx < 8) & (yy > 2)
kinds = dict(algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL)
descriptions = [
    hd.seg.SegmentDescription(1, "Nodule", codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Nodule, **kinds),
    hd.seg.SegmentDescription(2, "Right lung", codes.SCT.Organ, codes.SCT.Lung, **kinds),
]


def seg(name, array, kind, n, descriptions=descriptions, **more):
    it = hd.seg.Segmentation(
        source_images=ct, pixel_array=array, segmentation_type=kind, segment_descriptions=descriptions,
        series_instance_uid=f"{UID}4.{n}", series_number=n, sop_instance_uid=f"{UID}5.{n}", instance_number=1,
        manufacturer="fixture", manufacturer_model_name="fixture", software_versions="1",
        device_serial_number="1", **more)
    it.save_as(f"{out}/{name}.dcm")
    back = hd.seg.segread(f"{out}/{name}.dcm")
    got = back.get_pixels_by_source_instance([d.SOPInstanceUID for d in ct], combine_segments=False,
                                             assert_missing_frames_are_empty=True,
                                             ignore_spatial_locations=True, rescale_fractional=True)
    return np.moveaxis(got, -1, 0)  # segments, slices, rows, columns


both = np.stack([nodule, lung], -1)
binary = seg("binary.seg", both, "BINARY", 11)
assert np.array_equal(binary, np.moveaxis(both, -1, 0))
np.save(f"{out}/binary.npy", binary.astype(np.uint8))
share = (both * rng.uniform(0.2, 1, both.shape)).astype(np.float32)
fractional = seg("fractional.seg", share, "FRACTIONAL", 12, max_fractional_value=200)
np.save(f"{out}/fractional.npy", (fractional >= 0.5).astype(np.uint8))
rle = seg("rle.seg", share, "FRACTIONAL", 13, max_fractional_value=255, transfer_syntax_uid=RLELossless)
np.save(f"{out}/rle.npy", (rle >= 0.5).astype(np.uint8))
# A second and third reader of the nodule, each a SEG of its own as in the Imaging Data Commons.
for n, shift in ((21, 1), (22, 2)):
    moved = np.roll(nodule, shift, axis=2)
    np.save(f"{out}/reader{n}.npy", seg(f"reader{n}.seg", moved[..., None], "BINARY", n, descriptions[:1])[0].astype(np.uint8))

# RTSTRUCT: a tumour with a hole on one slice, two lungs, an organ that counts for nothing.
ds = basic(RTStructureSetStorage, UID + "6", "RTSTRUCT", UID + "7")
ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "fixture", "20200101", "000000"
series = Dataset()
series.SeriesInstanceUID = SERIES
series.ContourImageSequence = []
study = Dataset()
study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = "1.2.840.10008.3.1.2.3.1", STUDY
study.RTReferencedSeriesSequence = [series]
frame = Dataset()
frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = FRAME, [study]
ds.ReferencedFrameOfReferenceSequence = [frame]
ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence = [], [], []


def ring(cx, cy, r, n=40):
    t = np.arange(n) * 2 * np.pi / n + 0.1
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], -1)


rois = {
    "GTV-1": {1: [ring(2.03, -0.7, 3.1)], 2: [ring(2.03, -0.7, 4.2), ring(2.3, -0.4, 1.6)], 3: [ring(1.5, -0.7, 1.9)]},
    "Lung-Left": {z: [ring(4.1, -0.5, 2.77)] for z in range(SLICES)},
    "Lung-Right": {z: [ring(-3.3, -0.5, 2.4)] for z in range(1, 4)},
    "Spinal-Cord": {z: [ring(0.1, 3.3, 1.1)] for z in range(SLICES)},
}
masks = {}
for number, (name, slices) in enumerate(rois.items(), 1):
    roi, contours, mask = Dataset(), Dataset(), np.zeros((SLICES, ROWS, COLUMNS), bool)
    roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, FRAME
    roi.ROIGenerationAlgorithm = "MANUAL"
    contours.ReferencedROINumber, contours.ContourSequence = number, []
    for z, rings in slices.items():
        for points in rings:
            c, image = Dataset(), Dataset()
            image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = CTImageStorage, f"{SERIES}.{z + 1}"
            if name != "Lung-Right": c.ContourImageSequence = [image]  # of these the position alone tells
            c.ContourGeometricType, c.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            c.ContourData = [f"{v:.4f}" for x, y in points for v in (x, y, ORIGIN[2] + DZ * z)]
            contours.ContourSequence.append(c)
            pixels = (np.round(points, 4) - ORIGIN[:2]) / [DX, DY]
            centres = np.stack([xx.ravel(), yy.ravel()], -1)
            mask[z] ^= Path(pixels, closed=False).contains_points(centres).reshape(ROWS, COLUMNS)
    ds.StructureSetROISequence.append(roi), ds.ROIContourSequence.append(contours)
    masks[name] = mask
ds.save_as(f"{out}/rtstruct.dcm", enforce_file_format=True)
np.save(f"{out}/rtstruct.npy", np.stack(list(masks.values())).astype(np.uint8))

# Enhanced multi-frame CT: frames in no order, some functional groups shared, some per frame.
for name, syntax in (("enhanced", None), ("enhanced_rle", RLELossless)):
    ds = basic(EnhancedCTImageStorage, UID + ("8" if syntax is None else "81"), "CT", UID + ("9" if syntax is None else "91"))
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = ROWS, COLUMNS, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    order = [2, 0, 4, 1, 3]
    ds.NumberOfFrames = SLICES
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [DY, DX], DZ
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = []
    for z in order:
        group, position, value, kind = Dataset(), Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(ORIGIN + [0, 0, DZ * z])
        value.RescaleIntercept, value.RescaleSlope, value.RescaleType = -1024 - z, 1 + z % 2, "HU"
        kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [position], [value]
        group.CTImageFrameTypeSequence = [kind]
        ds.PerFrameFunctionalGroupsSequence.append(group)
    ds.PixelData = values[order].tobytes()
    ds["PixelData"].VR = "OW"
    if syntax: ds.compress(syntax)
    ds.save_as(f"{out}/{name}.dcm", enforce_file_format=True)
    back = dcmread(f"{out}/{name}.dcm")
    hu = np.zeros((SLICES, ROWS, COLUMNS), np.int32)
    for f, group in enumerate(back.PerFrameFunctionalGroupsSequence):
        z = round((group.PlanePositionSequence[0].ImagePositionPatient[2] - ORIGIN[2]) / DZ)
        value = group.PixelValueTransformationSequence[0]
        hu[z] = back.pixel_array[f] * float(value.RescaleSlope) + float(value.RescaleIntercept)
    np.save(f"{out}/{name}.npy", np.maximum(hu, -1024).astype("<i2"))
np.save(f"{out}/ct.npy", (values.astype(np.int32) - 1024).astype("<i2"))
