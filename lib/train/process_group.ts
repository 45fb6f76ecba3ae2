/** A process group: processes that train one model together, each on its share of every batch. */

export interface ProcessGroup {
  readonly rank: number;
  readonly size: number;
  /** All-reduce: replaces `data` by its sum over all members, in place. Every member must call it. */
  sum(data: Float32Array<ArrayBuffer>): Promise<void>;
}
