/** What convolutions and matrix products add in their stores, so that no pass of its own does. */

/** bias [C]; channel [N,C], as `addChannel` adds it; residual of the output's shape. */
export type Extra = "bias" | "channel" | "residual";

export interface WithExtras {
  /** In the order of the inputs that hold them, the last of the node. */
  readonly extras?: readonly Extra[];
}
