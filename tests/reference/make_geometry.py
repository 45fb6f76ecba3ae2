"""Writes tests/fixtures/geometry: small NIfTI files by nibabel, and where their voxels lie.

    pip install nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
    python tests/reference/make_geometry.py tests/fixtures/geometry

The affine is nibabel's, in LPS; SimpleITK reads the same one wherever it reads the file at all
(checked below). Values are nibabel's scaled ones, turned by its as_closest_canonical.
"""
import json, os, sys
import nibabel as nib, numpy as np, SimpleITK as sitk

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)
SHAPE = (4, 6, 3)
LPS = np.diag([-1, -1, 1, 1.0])
cases = {}


def rotation(degrees, axis):
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    m = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


def affine(directions, spacing=(0.7, 0.8, 2.5), origin=(11, -22, 33)):
    a = np.eye(4)
    a[:3, :3] = np.array(directions) @ np.diag(spacing)
    a[:3, 3] = origin
    return a


def save(name, form, kind=nib.Nifti1Image, dtype="<i2", change=None, sitk_agrees=True, values=None):
    data = rng.integers(-1000, 1000, SHAPE).astype(dtype) if values is None else values
    image = kind(data, form)
    image.header.set_xyzt_units("mm")
    if change:
        change(image)
    path = f"{out}/{name}.nii"
    nib.save(image, path)
    read = nib.load(path)
    lps = LPS @ read.affine
    if sitk_agrees:
        itk = sitk.ReadImage(path)
        theirs = np.array(itk.GetDirection()).reshape(3, 3) @ np.diag(itk.GetSpacing())
        assert np.allclose(theirs, lps[:3, :3], atol=1e-4), (name, theirs, lps)
        assert np.allclose(itk.GetOrigin(), lps[:3, 3], atol=1e-4), (name, itk.GetOrigin(), lps)
        assert np.allclose(sitk.GetArrayFromImage(itk).T, read.get_fdata(), atol=1e-3), name
    canonical = nib.as_closest_canonical(read)
    turned = np.asarray(canonical.get_fdata())[::-1, ::-1].T  # RAS to LPS, then slices first
    cases[name] = dict(axes=lps[:3, :3].T.tolist(), origin=lps[:3, 3].tolist(),
                       size=list(turned.shape[::-1]),
                       values=np.rint(np.nan_to_num(turned)).astype(int).ravel().tolist())


RAS = np.eye(3)
save("ras", affine(RAS))
save("lps", affine(np.diag([-1, -1, 1])))
save("lpi", affine(np.diag([-1, -1, -1])))
save("sagittal", affine(np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])))
save("coronal", affine(np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])))
save("oblique", affine(rotation(12, 0) @ rotation(-9, 2) @ np.diag([-1, 1, 1])))
save("big_endian", affine(RAS), dtype=">i2")
# SimpleITK reads no NIfTI-2.
save("nifti2", affine(rotation(5, 1)), kind=nib.Nifti2Image, sitk_agrees=False)


def forms(q, qcode, s, scode):
    def change(image):
        image.set_qform(q, qcode)
        image.set_sform(s, scode)
    return change


turned = affine(rotation(20, 0) @ np.diag([-1, -1, 1]), origin=(-5, 6, 7))
save("qform_only", None, change=forms(turned, 1, np.zeros((4, 4)), 0))
save("qform_left_handed", None, change=forms(affine(rotation(7, 2) @ np.diag([1, 1, -1])), 1,
                                             np.zeros((4, 4)), 0))
save("nifti2_qform", None, kind=nib.Nifti2Image, sitk_agrees=False, change=forms(turned, 1, np.zeros((4, 4)), 0))
mirrored = affine(np.diag([-1, 1, 1]))
save("sform_1_qform_2", None, change=forms(mirrored, 2, affine(RAS), 1))
save("sform_2_qform_1", None, change=forms(mirrored, 1, affine(RAS), 2))
# SimpleITK takes y to the back here, nibabel to the front: a note says that nothing is known.
save("no_codes", None, change=forms(np.eye(4), 0, np.eye(4), 0), sitk_agrees=False)


def scale(slope, inter):
    def change(image):
        image.header["scl_slope"], image.header["scl_inter"] = slope, inter
    return change


def rewrite(name, slope, inter):
    """nibabel resets the slope when it saves: put it into the file."""
    path = f"{out}/{name}.nii"
    raw = bytearray(open(path, "rb").read())
    raw[112:120] = np.array([slope, inter], "<f4").tobytes()
    open(path, "wb").write(raw)
    read = nib.load(path)
    turned = np.asarray(nib.as_closest_canonical(read).get_fdata())[::-1, ::-1].T
    cases[name]["values"] = np.rint(turned).astype(int).ravel().tolist()


for name, slope, inter in (("slope_2", 2, -100), ("slope_0", 0, -1024), ("slope_nan", np.nan, 5)):
    save(name, affine(RAS))
    rewrite(name, slope, inter)
save("int8", affine(RAS), values=rng.integers(-128, 128, SHAPE).astype("i1"))
save("uint8", affine(RAS), values=rng.integers(0, 256, SHAPE).astype("u1"))
save("float32", affine(RAS), values=rng.normal(0, 300, SHAPE).astype("<f4"))
json.dump(cases, open(f"{out}/expected.json", "w"), separators=(",", ":"))
