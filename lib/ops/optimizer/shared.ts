/** optimizer: what its modules share. */

/** Length of AdamW's `hyper`; `lib/train/adamw.ts` fills it. */
export const ADAMW_HYPER = 12;
