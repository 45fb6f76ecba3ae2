/** The programs that can stand beside this one, and how they are started. */

import { fileURLToPath } from "node:url";
import type { PeerSpec } from "./peers.ts";

/** Exact versions, so that figures stay comparable; loaded by the peers' processes alone. */
export const PEER_PACKAGES = {
  jax: "npm:@jax-js/jax@0.1.25",
  tfjs: "npm:@tensorflow/tfjs@4.22.0",
  tfjsWebgpu: "npm:@tensorflow/tfjs-backend-webgpu@4.22.0",
  onnx: "npm:onnxruntime-web@1.30.0/webgpu",
  protobuf: "npm:protobufjs@7.5.4",
} as const;

const script = (name: string) =>
  fileURLToPath(new URL(`../../scripts/peers/${name}`, import.meta.url));

/** A Deno process that may load one peer's packages. It needs the network the first time. */
function denoPeer(
  name: string,
  file: string,
  packages: readonly string[],
  env: Readonly<Record<string, string>>,
  batches: PeerSpec["batches"] = { forward: [1], train: [1] },
): PeerSpec {
  return {
    name,
    command: "deno",
    env,
    args: [
      "run",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      "--quiet",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      script(file),
      ...packages,
    ],
    // These take seconds a step on software drivers: no larger batches.
    batches,
    needs: 30,
    patience: 120,
  };
}

/** What `./run` asks of glibc: pages of 2 MiB. */
export const HUGE_PAGES = "glibc.malloc.hugetlb=1";

/** Without that, as long as nothing else is asked of it. */
const asStarted = (tunables?: string): Record<string, string> =>
  tunables === HUGE_PAGES ? { GLIBC_TUNABLES: "" } : {};

/**
 * In the order in which they take turns. PyTorch is started as users start it, without what `./run`
 * asks of glibc, where `tunables` (GLIBC_TUNABLES) are those; and with it, as a peer of its own. What
 * runs on WebGPU gets the vectors that Mesa takes by itself where `./run` asks for others: then
 * `shaders` is a folder, for its cache of compiled shaders does not know the width.
 */
export function peerSpecs(
  { python, compile, tunables, shaders }: {
    readonly python: string;
    readonly compile: boolean;
    readonly tunables?: string;
    readonly shaders?: string;
  },
): PeerSpec[] {
  const webgpu: Record<string, string> = shaders === undefined
    ? {}
    : { LP_NATIVE_VECTOR_WIDTH: "256", MESA_SHADER_CACHE_DIR: shaders };
  const torch = (mode: "eager" | "compile"): PeerSpec => ({
    name: mode === "eager" ? "PyTorch" : "PyTorch, torch.compile",
    command: python,
    args: ["-B", script("torch_peer.py"), mode],
    env: asStarted(tunables),
    // Compiling takes minutes on two cores: two of the four, where the ratio matters most.
    batches: mode === "eager" ? { forward: [1, 8], train: [1, 8] } : { forward: [1], train: [8] },
    needs: mode === "eager" ? 0 : 75,
    patience: 120,
  });
  return [
    torch("eager"),
    ...(tunables === HUGE_PAGES
      ? [{ ...torch("eager"), name: "PyTorch, huge pages", env: {} }]
      : []),
    ...(compile ? [torch("compile")] : []),
    denoPeer("jax-js, WebGPU", "jax_peer.ts", [PEER_PACKAGES.jax], webgpu),
    denoPeer("TensorFlow.js, WebGPU", "tfjs_peer.ts", [
      PEER_PACKAGES.tfjs,
      PEER_PACKAGES.tfjsWebgpu,
    ], webgpu),
    denoPeer(
      "onnxruntime-web, WebGPU",
      "onnx_peer.ts",
      [
        PEER_PACKAGES.onnx,
        PEER_PACKAGES.protobuf,
      ],
      webgpu,
      { forward: [1], train: [] },
    ), // it has no gradients
  ];
}

/** What the Inception features of features.ts stand beside. */
export function featurePeer(python: string, tunables?: string): PeerSpec {
  return {
    name: "PyTorch, torch-fidelity",
    command: python,
    args: ["-B", script("inception_peer.py")],
    env: asStarted(tunables),
    batches: { forward: [], train: [] },
    needs: 0,
    patience: 300,
  };
}
