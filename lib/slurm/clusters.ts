/**
 * Returns the clusters that the options of sbatch in a command line or in `#SBATCH` lines may name:
 * `-M a,b`, `-Ma`, `--clusters=a`, `--cluster a`. What the shell would put in is not known.
 */
export function clustersNamedIn(text: string): string[] {
  const lists = text.matchAll(/(?<=^|\s)(?:-M\s*|--clusters?(?:=|\s+))['"]?([\w.,-]+)/gm);
  return [...new Set([...lists].flatMap(([, list = ""]) => list.split(",")))]
    .filter((name) => name !== "");
}
