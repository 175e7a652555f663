/** Markdown in parts, as far as our documents use it: for man pages and for terminals. */

/** A part of a document. Its texts are Markdown of one line; see {@link inlineParts}. */
export type MarkdownBlock =
  | { readonly kind: "heading"; readonly level: number; readonly text: string }
  | { readonly kind: "paragraph" | "item"; readonly text: string }
  | { readonly kind: "code"; readonly lines: readonly string[] }
  /** The cells of each row, without the heading's. */
  | { readonly kind: "table"; readonly rows: readonly (readonly string[])[] };

/**
 * Returns the parts of a document: headings, paragraphs, lists with `-`, tables, and code blocks
 * that are fenced or indented by four spaces.
 */
export function markdownBlocks(markdown: string): MarkdownBlock[] {
  const lines = markdown.split("\n");
  const blocks: MarkdownBlock[] = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at] ?? "";
    const take = (belongs: (line: string) => boolean) => {
      const first = at;
      while (at < lines.length && belongs(lines[at] ?? "")) at++;
      return lines.slice(first, at);
    };
    if (line.trim() === "") {
      at++;
    } else if (line.startsWith("```")) {
      at++;
      blocks.push({ kind: "code", lines: take((next) => !next.startsWith("```")) });
      at++;
    } else if (line.startsWith("    ")) {
      const code = take((next) => next.startsWith("    ") || next === "");
      while (code.at(-1) === "") code.pop();
      blocks.push({ kind: "code", lines: code.map((next) => next.slice(4)) });
    } else if (line.startsWith("#")) {
      const [, marks = "", text = ""] = /^(#+) (.*)$/.exec(line) ?? [];
      blocks.push({ kind: "heading", level: marks.length, text });
      at++;
    } else if (line.startsWith("|")) {
      const [, , ...rows] = take((next) => next.startsWith("|"));
      blocks.push({ kind: "table", rows: rows.map(cellsOf) });
    } else if (line.startsWith("- ")) {
      at++;
      const rest = take((next) => /^ {2}\S/.test(next)).map((next) => next.trim());
      blocks.push({ kind: "item", text: [line.slice(2), ...rest].join(" ") });
    } else {
      const text = take((next) => next !== "" && !/^(?:#|\||- )/.test(next)).join(" ");
      blocks.push({ kind: "paragraph", text });
    }
  }
  return blocks;
}

/** A bar within a cell is written `\|`. */
function cellsOf(row: string): string[] {
  return row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replace("\\|", "|"));
}

/** A piece of running text; a link that leads out of the documents has its address. */
export interface InlinePart {
  readonly kind: "plain" | "code" | "strong" | "link";
  readonly text: string;
  readonly address?: string;
}

/** Returns the pieces of running text: `code`, **words**, [links](https://example.org), others. */
export function inlineParts(text: string): InlinePart[] {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^\]]+\]\([^)]+\))/).map((part) => {
    if (/^`.*`$/.test(part)) return { kind: "code", text: part.slice(1, -1) };
    if (/^\*\*.*\*\*$/.test(part)) return { kind: "strong", text: part.slice(2, -2) };
    const [, label, target = ""] = /^\[(.*)\]\((.*)\)$/.exec(part) ?? [];
    if (label === undefined) return { kind: "plain", text: part };
    return { kind: "link", text: label, ...(/^https?:/.test(target) ? { address: target } : {}) };
  });
}
