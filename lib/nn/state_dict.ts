/** A model's parameters as named tensors, as diffusers' state dicts have them, and back. */

import { InputError } from "../errors.ts";
import { sameShape } from "../graph/tensor.ts";
import { type SafeTensor, toFloat32 } from "../io/safetensors.ts";
import type { UNet2DConfig } from "./config.ts";
import type { ParameterLayout } from "./parameters.ts";

/** A model with its weights. */
export interface PretrainedModel {
  /** What it is. */
  readonly config: UNet2DConfig;
  /** Where its parameters lie. */
  readonly layout: ParameterLayout;
  /** All parameters, flat. */
  readonly params: Float32Array<ArrayBuffer>;
}

/**
 * Places named tensors into one flat buffer.
 *
 * @param prefix that names carry in the file (`param.` in reference cases).
 * @throws InputError for a missing tensor, a wrong shape, or one that the model does not have.
 *
 * @example
 * ```ts
 * import { flattenParameters, ParameterLayout } from "@lung-ddpm/webgpu";
 * const layout = new ParameterLayout([{ name: "w", shape: [2], init: { value: 0 } }]);
 * const w = { dtype: "F32" as const, shape: [2], data: Float32Array.of(1, 2) };
 * flattenParameters(layout, new Map([["w", w]]), "model.safetensors"); // [1, 2, 0, …]
 * ```
 */
export function flattenParameters(
  layout: ParameterLayout,
  tensors: ReadonlyMap<string, SafeTensor>,
  file: string,
  prefix = "",
): Float32Array<ArrayBuffer> {
  const flat = new Float32Array(layout.size);
  for (const { name, shape } of layout.specs) {
    const tensor = tensors.get(prefix + name);
    if (!tensor) {
      throw new InputError(
        `${file}: tensor "${prefix}${name}" is missing${prefixHint(tensors, prefix + name)}`,
      );
    }
    if (!sameShape(tensor.shape, shape)) {
      throw new InputError(
        `${file}: tensor "${prefix}${name}" is [${tensor.shape}], the ` +
          `configuration requires [${shape}]`,
      );
    }
    const values = toFloat32(tensor);
    if (values.some((v) => !Number.isFinite(v))) {
      throw new InputError(`${file}: tensor "${prefix}${name}" holds NaN or infinite values`);
    }
    layout.part(flat, name).set(values);
  }
  for (const name of tensors.keys()) {
    if (name.startsWith(prefix) && !layout.has(name.slice(prefix.length))) {
      throw new InputError(`${file}: tensor "${name}" is not of this model`);
    }
  }
  return flat;
}

const WRAPPERS: Record<string, string> = {
  "module.": " of DataParallel: save model.module",
  "_orig_mod.": " of torch.compile: save model._orig_mod",
};

/** Where the tensor is there under a longer name, as wrappers of models write it: which. */
function prefixHint(tensors: ReadonlyMap<string, SafeTensor>, name: string): string {
  const longer = tensors.keys().find((key) => key.endsWith(`.${name}`));
  if (!longer) return "";
  const extra = longer.slice(0, -name.length);
  const first = Object.keys(WRAPPERS).find((wrapper) => extra.startsWith(wrapper));
  return `, but "${longer}" is there: names begin with "${extra}"${
    first ? WRAPPERS[first] : ""
  }, or take the prefix off all names`;
}

/**
 * The parameters as tensors under their state-dict names; views of `flat`.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, namedTensors, ParameterLayout } from "@lung-ddpm/webgpu";
 * const layout = new ParameterLayout([{ name: "w", shape: [2], init: { value: 0 } }]);
 * encodeSafetensors(namedTensors(layout, new Float32Array(layout.size))); // the bytes of a file
 * ```
 */
export function* namedTensors(
  layout: ParameterLayout,
  flat: Float32Array,
  prefix = "",
): Generator<[string, SafeTensor]> {
  for (const { name, shape } of layout.specs) {
    const data = layout.part(flat, name);
    yield [prefix + name, { dtype: "F32", shape: [...shape], data }];
  }
}
