/**
 * Returns the absolute path of a program as a shell finds it in a list of directories like `PATH`, of
 * which those that are relative are left out; undefined where it is not.
 */
export function findProgram(name: string, path: string): string | undefined {
  if (name.startsWith("/")) return isProgram(name) ? name : undefined;
  return path.split(":")
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => `${directory}/${name}`)
    .find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
