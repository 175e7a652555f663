/** Returns the fields of an object that is about a dataset, as DataLad's result records have them. */
export function aboutDataset(root: string): { type: "dataset"; path: string; refds: string } {
  return { type: "dataset", path: root, refds: root };
}
