/**
 * Roff for man pages, in the man(7) macros that groff and mandoc both read. Pages are ASCII: other
 * characters are written as `\[u2026]`, so that no locale is needed to read them.
 */
import { inlineParts, type MarkdownBlock, markdownBlocks } from "./markdown.ts";

/** Returns text as roff: nothing in it is an instruction. */
export function roffText(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\e")
    // A plain hyphen may become a typographic one, which cannot be copied to a terminal.
    .replaceAll("-", "\\-")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    .replaceAll("`", "\\(ga")
    .replaceAll("'", "\\(aq")
    // deno-lint-ignore no-control-regex
    .replace(/[^\x00-\x7f]/gu, (character) => `\\[u${hexOf(character)}]`);
  return escaped.replace(/^\./gm, "\\&.");
}

function hexOf(character: string): string {
  return (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
}

/** Returns text in bold. */
export function bold(text: string): string {
  return `\\fB${roffText(text)}\\fR`;
}

/** Returns a word that stands for another, such as `PATH`, in italics. */
export function italic(text: string): string {
  return `\\fI${roffText(text)}\\fR`;
}

/** Returns running text in which `code`, **words** and options such as --since are bold. */
export function roffInline(text: string): string {
  return inlineParts(text).map(({ kind, text, address }) => {
    if (kind === "code" || kind === "strong") return bold(text);
    if (address !== undefined) return `${roffText(text)} (${roffText(address)})`;
    return kind === "link" ? roffText(text) : roffWithOptions(text);
  }).join("").replace(/\s*\n\s*/g, " ");
}

function roffWithOptions(text: string): string {
  return text.split(/((?<![\w-])--[a-z][\w-]*)/)
    .map((part) => part.startsWith("--") ? bold(part) : roffText(part)).join("");
}

/** Returns lines as they are, in a block of their own. */
export function roffExample(lines: readonly string[]): string[] {
  return [
    ".PP",
    ".RS 4",
    ".EX",
    ...lines.map((line) => line === "" ? ".sp" : roffText(line)),
    ".EE",
    ".RE",
  ];
}

/** Returns the first line of a page. */
export function roffTitle(name: string, section: number, version: string): string {
  const words = [name.toUpperCase(), String(section), "", `datalad-slurm ${version}`];
  return `.TH ${words.map((word) => `"${roffText(word)}"`).join(" ")} "datalad\\-slurm"`;
}

/** Returns the body of a page from Markdown. The document's title is left out. */
export function roffFromMarkdown(markdown: string): string[] {
  const out = markdownBlocks(markdown).flatMap(roffBlock);
  // A heading begins a paragraph by itself.
  return out.filter((line, at) => line !== ".PP" || !/^\.S[HS] /.test(out[at - 1] ?? ""));
}

function roffBlock(block: MarkdownBlock): string[] {
  switch (block.kind) {
    case "heading":
      return heading(block.level, block.text);
    case "code":
      return roffExample(block.lines);
    case "table":
      // The first cell as a term, the others below it.
      return block.rows.flatMap(([term = "", ...others]) => [
        ".TP",
        roffInline(term),
        roffInline(others.filter((cell) => cell !== "").join("; ")),
      ]);
    case "item":
      return [".IP \\(bu 3", roffInline(block.text)];
    case "paragraph":
      return [".PP", roffInline(block.text)];
  }
}

function heading(level: number, text: string): string[] {
  if (level === 1) return [];
  return level === 2 ? [`.SH "${roffInline(text.toUpperCase())}"`] : [`.SS "${roffInline(text)}"`];
}
