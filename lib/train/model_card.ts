/** README.md of a model's folder: what it is, what it was made from, and what it is not for. */

import { type Dataset, PHANTOM_NOTE } from "../data/dataset.ts";
import type { RunConfig } from "./config.ts";

/** What {@link modelCard} says beside the settings of the run. */
export interface CardFacts {
  /** Optimizer steps done. */
  readonly step: number;
  /** Number of parameters. */
  readonly parameters: number;
  /** From {@link describeData}. */
  readonly data: string;
  /** SHA-256 by file, of the files beside the card. */
  readonly sha256: Readonly<Record<string, string>>;
}

/** Counts of a data set, without a name of anyone or anything in it. */
export function describeData({ train, val, notes }: Dataset): string {
  const patients = new Set(train.map((r) => r.patient)).size;
  const positive = train.filter((r) => r.label === 1).length;
  const source = notes.includes(PHANTOM_NOTE) ? "The built-in phantom: no patients. " : "";
  return `${source}${train.length} training slices of ${patients} patients, ${positive} with a ` +
    `nodule; ${val.length} slices of other patients for validation.`;
}

const CONDITION = {
  class: "1 in every pixel for a slice with a nodule, 0 for one without",
  "nodule-mask": "the nodules' mask, each pixel its share that a nodule covers",
};
const PREDICTS = { epsilon: "the noise", v_prediction: "v", sample: "the clean image" };

/** A model card as Hugging Face has it: front matter, then prose. */
export function modelCard(config: RunConfig, facts: CardFacts): string {
  const [height, width] = config.resolution;
  const { window_level: level, window_width: span } = config;
  const size = `${height}×${width}`;
  const framing = config.crop === null
    ? `The whole slice, resized to ${size}`
    : `Patches of ${size} pixels` +
      (config.spacing === null ? "" : ` at ${config.spacing} mm a pixel`);
  const resized = config.antialias ? "with antialiasing" : "without antialiasing";
  const rows = Object.entries(facts.sha256).map(([file, hash]) => `| ${file} | \`${hash}\` |`);
  return `---
library_name: diffusers
pipeline_tag: unconditional-image-generation
tags:
  - medical
  - computed-tomography
  - synthetic-data
---

# Lung-CT diffusion model, step ${facts.step}

**For research only.** What it makes is synthetic: not for diagnosis, treatment or any other decision
about a patient. Weights can give away training slices that they have learnt by heart: see "Is it
copying" in \`./run evaluate\` before handing them on.

- **Model**: diffusers' \`UNet2DModel\`, ${facts.parameters} parameters, for ${size} pixels. Input
  [lung mask, condition, noisy CT]; it predicts ${
    PREDICTS[config.prediction_type]
  }. The condition is
  ${CONDITION[config.condition]}.
- **Training data**: ${facts.data}
- **Preprocessing**: HU from ${level - span / 2} to ${
    level + span / 2
  } become −1 to 1, values beyond
  are clipped. ${framing}: the CT bilinearly ${resized}, the lung mask by nearest neighbour.
- **Training**: ${facts.step} steps of ${config.train_batch_size} × \
${config.gradient_accumulation_steps} slices with AdamW, learning rate ${config.learning_rate} \
(${config.lr_scheduler}), averaged
  with decay ${config.ema_decay}; DDPM, ${config.ddpm_num_steps} timesteps, β \
${config.ddpm_beta_schedule} from ${config.beta_start} to ${config.beta_end}; seed ${config.seed}.
- **Limits**: it has seen only slices such as these. It knows no other anatomy, scanner, window or
  size of nodules; \`./run evaluate\` measures what it does know.

\`\`\`python
UNet2DModel.from_pretrained(FOLDER, subfolder="${subfolderOf(facts.sha256)}")
\`\`\`

| file | SHA-256 |
| --- | --- |
${rows.join("\n")}
`;
}

const subfolderOf = (files: object) =>
  Object.keys(files).some((file) => file.startsWith("unet_ema/")) ? "unet_ema" : "unet";
