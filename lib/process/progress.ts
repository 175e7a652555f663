/**
 * Told how far long work has come: how many of all things are done, and bytes of all bytes where
 * these are known.
 */
export type Progress = (done: number, all: number, bytes?: number, allBytes?: number) => void;

/** Begins to tell of long work, such as `Adding outputs`. */
export type BeginProgress = (what: string) => Progress;
