/** Files that were not read, by kind, with what to do about each. */

const KINDS: readonly [what: string, name: RegExp, advice: string][] = [
  ["MetaImage (.mhd, .mha)", /\.(mhd|mha)$/i, "give their folder to --nifti, LUNA16's to --luna16"],
  ["NRRD", /\.(nrrd|nhdr)$/i, "give their folder to --nifti"],
  ["NIfTI", /\.nii(\.gz)?$/i, "give their folder to --nifti"],
  ["Analyze (.hdr)", /\.hdr$/i, "give their folder to --nifti"],
  ["DICOM (.dcm)", /\.dcm$/i, "give their folder to --dicom; those there lack the DICM marker"],
  ["archives (.zip, .tar, .7z)", /\.(zip|tar|tgz|tar\.gz|7z|rar)$/i, "unpack them"],
  [
    ".npy",
    /\.np[yz]$/i,
    "slices of .npy go to training as they are; volumes: convert them to NIfTI",
  ],
  ["pictures", /\.(png|jpe?g|bmp|tiff?)$/i, "pairs of images and masks go to training as they are"],
  ["HDF5", /\.(h5|hdf5)$/i, "convert them to NIfTI"],
];

/** A line for each kind among `files` that this program could have been meant to read. */
export function unreadKinds(files: readonly string[]): string[] {
  return KINDS.flatMap(([what, name, advice]) => {
    const count = files.filter((file) => name.test(file)).length;
    return count > 0 ? [`${count} ${what} files not read: ${advice}`] : [];
  });
}
