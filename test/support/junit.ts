/** How many tests ended how. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Returns the counts in a report that `deno test --junit-path` has written (Deno 2.9). The steps of
 * a test are in the report as cases of their own, named `test > step`, and are not counted.
 */
export function countTests(report: string): Counts {
  const cases = [...report.matchAll(/<testcase name="([^"]*)"[^>]*>([^]*?)<\/testcase>/g)]
    .map(([, name = "", body = ""]) => ({ name, body }));
  const names = new Set(cases.map(({ name }) => name));
  let [passed, failed, skipped] = [0, 0, 0];
  for (const { name, body } of cases) {
    if (isStep(name, names)) continue;
    if (/<(?:failure|error)\b/.test(body)) failed++;
    else if (/<skipped\b/.test(body)) skipped++;
    else passed++;
  }
  return { passed, failed, skipped };
}

function isStep(name: string, names: ReadonlySet<string>): boolean {
  const separator = " &gt; ";
  for (let at = name.indexOf(separator); at >= 0; at = name.indexOf(separator, at + 1)) {
    if (names.has(name.slice(0, at))) return true;
  }
  return false;
}
