import { wrap } from "./help.ts";
import { inlineParts, markdownBlocks } from "./markdown.ts";

/** Returns running text of Markdown without its marks. */
export function plainInline(text: string): string {
  return inlineParts(text).map(({ text, address }) =>
    address === undefined ? text : `${text} (${address})`
  ).join("");
}

/**
 * Returns Markdown as lines for a terminal of so many columns. Headings go through a function that
 * sets them off; code is indented and never broken, as it is copied from here.
 */
export function plainText(
  markdown: string,
  width: number,
  heading: (text: string) => string,
): string[] {
  const lines: string[] = [];
  let before = "";
  for (const block of markdownBlocks(markdown)) {
    // The items of a list stand together.
    if (lines.length > 0 && !(block.kind === "item" && before === "item")) lines.push("");
    before = block.kind;
    switch (block.kind) {
      case "heading":
        lines.push(heading(plainInline(block.text)));
        break;
      case "code":
        lines.push(...block.lines.map((line) => line === "" ? "" : `    ${line}`));
        break;
      case "item":
        lines.push(
          ...wrap(plainInline(block.text), "  ", width).map((line, at) =>
            at === 0 ? `- ${line.slice(2)}` : line
          ),
        );
        break;
      case "table":
        for (const [term = "", ...others] of block.rows) {
          lines.push(
            plainInline(term),
            ...wrap(plainInline(others.filter((cell) => cell !== "").join("; ")), "    ", width),
          );
        }
        break;
      case "paragraph":
        lines.push(...wrap(plainInline(block.text), "", width));
    }
  }
  return lines;
}
