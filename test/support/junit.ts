/** How many tests ended how, and what those that failed said. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Of each test or step that failed: its file, its name and the essence of its message. */
  readonly failures: readonly string[];
}

export const NONE: Counts = { passed: 0, failed: 0, skipped: 0, failures: [] };

/**
 * Returns the counts in a report that `deno test --junit-path` has written (Deno 2.9). The steps of
 * a test are in the report as cases of their own, named `test > step`, and are not counted.
 */
export function countTests(report: string): Counts {
  const cases = [...report.matchAll(CASE)]
    .map(([, name = "", file = "", body = ""]) => ({ name, file, body }));
  const names = new Set(cases.map(({ name }) => name));
  let [passed, failed, skipped] = [0, 0, 0];
  const failures: string[] = [];
  for (const { name, file, body } of cases) {
    const said = /<(?:failure|error)\b[^>]*>([^<]*)/.exec(body)?.[1];
    if (said !== undefined) {
      failures.push(`${unescaped(file)} => ${unescaped(name)}\n${essence(unescaped(said))}`);
    }
    if (isStep(name, names)) continue;
    if (said !== undefined) failed++;
    else if (/<skipped\b/.test(body)) skipped++;
    else passed++;
  }
  return { passed, failed, skipped, failures };
}

const CASE = /<testcase name="([^"]*)" classname="([^"]*)"[^>]*>([^]*?)<\/testcase>/g;

const ENTITIES: Readonly<Record<string, string>> = {
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
  "&amp;": "&",
};

function unescaped(text: string): string {
  return text.replace(/&(?:lt|gt|quot|apos|amp);/g, (entity) => ENTITIES[entity] ?? entity);
}

/** How a message begins, and where in our files it was thrown. */
const BEGINNING = 12;
const PLACES = 4;

function essence(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  const place = /^ {4}at .*file:/;
  const text = lines.filter((line) => !/^ {4}at /.test(line));
  return [
    ...text.slice(0, BEGINNING),
    ...(text.length > BEGINNING ? [`and ${text.length - BEGINNING} lines more`] : []),
    ...lines.filter((line) => place.test(line)).slice(0, PLACES),
  ].map((line) => `  ${line}`).join("\n");
}

function isStep(name: string, names: ReadonlySet<string>): boolean {
  const separator = " &gt; ";
  for (let at = name.indexOf(separator); at >= 0; at = name.indexOf(separator, at + 1)) {
    if (names.has(name.slice(0, at))) return true;
  }
  return false;
}
