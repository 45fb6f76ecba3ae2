"""Writes tests/fixtures/volumes: one volume in every format, by SimpleITK, nibabel and by hand, and
what SimpleITK (for Analyze: nibabel) reads from each: geometry.json, and volume.npy as stored.

    pip install SimpleITK==2.5.7 nibabel==5.4.2 numpy==2.4.6
    python tests/reference/make_volume_fixtures.py tests/fixtures/volumes
"""
import json, os, sys
import numpy as np, nibabel as nib
import SimpleITK as sitk

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
rng = np.random.default_rng(0)
values = rng.integers(-1024, 2000, (4, 5, 6)).astype(np.int16)  # slices, rows, columns
SPACING, ORIGIN = (0.7, 0.8, 2.5), (-11.5, 20.25, -130.0)
# Turned a little and permuted, so that no transposed or mirrored reading agrees.
a, b = np.deg2rad(10), np.deg2rad(7)
tilt = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ np.array(
    [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
permuted = tilt @ np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]])


def image(dtype=np.int16, direction=tilt):
    it = sitk.GetImageFromArray(values.astype(dtype))
    it.SetSpacing(SPACING), it.SetOrigin(ORIGIN), it.SetDirection(direction.flatten().tolist())
    return it


for name, dtype, direction, compress in [
    ("plain.mhd", np.int16, np.eye(3), False), ("tilted.mhd", np.int16, tilt, True),
    ("permuted.mha", np.int32, permuted, False), ("packed.mha", np.float32, tilt, True),
    ("plain.nrrd", np.int16, np.eye(3), False), ("tilted.nrrd", np.int16, tilt, True),
    ("permuted.nhdr", np.float64, permuted, False), ("packed.nhdr", np.int16, tilt, True),
    ("pair.hdr", np.int16, tilt, False),
]:
    sitk.WriteImage(image(dtype, direction), f"{out}/{name}", compress)

# By hand: other spaces, big endian, a start from the file's end.
hand = dict(
    ras="space: right-anterior-superior\nspace directions: (-0.7,0,0) (0,-0.8,0.1) (0,0.1,2.5)\n"
        "space origin: (11.5,-20.25,-130)\n",
    las="space: left-anterior-superior\nspace directions: (0.7,0,0) (0,-0.8,0.1) (0,0.1,2.5)\n"
        "space origin: (-11.5,-20.25,-130)\n",
    unplaced="spacings: 0.7 0.8 2.5\n")
for name, space in hand.items():
    with open(f"{out}/{name}.nrrd", "wb") as f:
        f.write(("NRRD0005\n# by hand\ntype: short\ndimension: 3\nsizes: 6 5 4\nendian: big\n"
                 f"encoding: raw\n{space}byte skip: -1\nkey:=value\n\n").encode()
                + b"junk" + values.astype(">i2").tobytes())
with open(f"{out}/big.mha", "wb") as f:
    f.write(b"NDims = 3\nDimSize = 6 5 4\nElementByteOrderMSB = True\nElementType = MET_SHORT\n"
            b"ElementSpacing = 0.7 0.8 2.5\nPosition = 1 2 3\nOrientation = 0 1 0 0 0 1 1 0 0\n"
            b"HeaderSize = -1\nElementDataFile = LOCAL\n" + values.astype(">i2").tobytes())
nib.AnalyzeImage(values.T, None).to_filename(f"{out}/analyze.hdr")
it = nib.AnalyzeImage(values.T, np.diag([-0.7, 0.8, 2.5, 1]))
it.to_filename(f"{out}/analyze.hdr")

geometry = {}
for name in sorted(os.listdir(out)):
    if not name.endswith((".mhd", ".mha", ".nrrd", ".nhdr", ".hdr")): continue
    if name == "analyze.hdr":
        it = nib.load(f"{out}/{name}")
        got = np.asarray(it.dataobj).T
        lps = np.diag([-1, -1, 1, 1]) @ it.affine
        axes, origin = lps[:3, :3].T, lps[:3, 3]
    else:
        it = sitk.ReadImage(f"{out}/{name}")
        got = sitk.GetArrayFromImage(it)
        axes = (np.array(it.GetDirection()).reshape(3, 3) * it.GetSpacing()).T
        origin = it.GetOrigin()
    assert np.array_equal(got, values), name
    geometry[name] = dict(axes=np.asarray(axes).tolist(), origin=list(map(float, origin)))
np.save(f"{out}/volume.npy", values)
json.dump(geometry, open(f"{out}/geometry.json", "w"), indent=1)
