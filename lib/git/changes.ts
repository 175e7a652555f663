/** One path in which the index differs from a commit. */
export interface StagedChange {
  readonly path: string;
  /** The mode in the index as git writes it, such as `100644`; undefined when it is deleted. */
  readonly mode: string | undefined;
  /** The object id in the index. */
  readonly object: string;
}
