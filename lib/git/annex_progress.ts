/** How far git-annex has come with the files that it is at, as `--json-progress` tells. */
export class AnnexProgress {
  readonly #files = new Map<string, number>();

  /** The bytes done of all files that are not forgotten. */
  get bytes(): number {
    let sum = 0;
    for (const bytes of this.#files.values()) sum += bytes;
    return sum;
  }

  /**
   * Takes a line that tells of progress, and returns false for any other. It expects
   * `{"action":{"command":"get","file":"a",…},"byte-progress":32752,"percent-progress":"0.01%",…}`
   * (10.20230126).
   */
  takes(line: string): boolean {
    // Most lines are answers, which are read once and elsewhere.
    if (!line.includes('"byte-progress"')) return false;
    let told: unknown;
    try {
      told = JSON.parse(line);
    } catch {
      return false;
    }
    const { action, "byte-progress": bytes } = told as Record<string, unknown>;
    if (typeof action !== "object" || action === null || typeof bytes !== "number") return false;
    const { file } = action as Record<string, unknown>;
    if (typeof file === "string") this.#files.set(file, bytes);
    return true;
  }

  /** Forgets a file that is done. */
  forget(file: string): void {
    this.#files.delete(file);
  }
}
