/** Writes tests/fixtures/lidc: `deno run --allow-write=tests tests/reference/make_lidc_fixture.ts`. */

import { encodeLidcXml, type ReaderText } from "../../lib/data/dicom_write/lidc_file.ts";
import { CHARACTERISTICS, type Characteristics } from "../../lib/data/lidc/xml.ts";

function square(x: number, y: number, side: number): number[] {
  const points: number[] = [];
  for (let i = 0; i < side; i++) points.push(x + i, y);
  for (let i = 0; i < side; i++) points.push(x + side, y + i);
  for (let i = 0; i < side; i++) points.push(x + side - i, y + side);
  for (let i = 0; i < side; i++) points.push(x, y + side - i);
  return points;
}

const characteristics = Object.fromEntries(
  Object.keys(CHARACTERISTICS).map((name) => [name, 3]),
) as Characteristics;
const readers = [0, 1, 2, 3].map((r): ReaderText => ({
  nodules: [
    {
      id: `${r}`,
      characteristics,
      rois: [
        { sopInstance: "1.1", z: 0, points: square(20 + r, 20, 8) },
        { sopInstance: "1.2", z: 2, points: square(20, 20, 8) },
        { sopInstance: "1.2", z: 2, inclusion: false, points: square(23, 23, 2) },
      ],
    },
    { id: `s${r}`, characteristics: null, rois: [{ sopInstance: "1.1", z: 0, points: [9, 9] }] },
  ],
  nonNodules: [{ id: "n", sopInstance: "1.2", z: 0, x: 3, y: 3 }],
}));
const folder = "tests/fixtures/lidc";
Deno.mkdirSync(folder, { recursive: true });
Deno.writeTextFileSync(`${folder}/reading.xml`, encodeLidcXml("2.25.1", "2.25.2", readers));
Deno.writeTextFileSync(
  `${folder}/metadata.csv`,
  "Series UID,Collection,Subject ID,Study UID,Modality,Number of Images,File Location\r\n" +
    '2.25.2,"Phantom, ""synthetic""",P1,2.25.1,CT,2,./P1\r\n2.25.3,Other,P2,2.25.4,CT,7,./P2\r\n',
);
