import { painted, type Style } from "./style.ts";
import type { Terminal } from "./terminal.ts";
import { displayWidth } from "./width.ts";

/** A name and what is known by it; several values stand below one another. */
export interface Pair {
  readonly name: string;
  readonly values: readonly string[];
  readonly style?: Style;
}

const GAP = 2;
const LEAST = 20;

/**
 * Returns names and values as two aligned columns. On a terminal values that are wider than it go on
 * in the next line; elsewhere they stand whole.
 */
export function pairLines(
  pairs: readonly Pair[],
  { width, colour }: Pick<Terminal, "width" | "colour">,
): string[] {
  const shown = pairs.filter(({ values }) => values.length > 0);
  const column = shown.reduce((most, { name }) => Math.max(most, displayWidth(name)), 0) + GAP;
  return shown.flatMap(({ name, values, style }) => {
    const lines = values.flatMap((value) => wrapped(value, Math.max(LEAST, width - column)));
    return lines.map((line, at) => {
      const label = at === 0 ? name : "";
      const space = " ".repeat(column - displayWidth(label));
      const value = colour && style !== undefined ? painted(line, style) : line;
      return `${colour ? painted(label, "bold") : label}${space}${value}`.trimEnd();
    });
  });
}

/** Breaks text at spaces into lines of a width; a word that is wider is broken as well. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    let rest = word;
    if (line !== "" && displayWidth(`${line} ${rest}`) <= width) {
      line += ` ${rest}`;
      continue;
    }
    if (line !== "") lines.push(line);
    while (displayWidth(rest) > width) {
      let head = "";
      for (const character of rest) {
        if (displayWidth(head + character) > width) break;
        head += character;
      }
      lines.push(head);
      rest = rest.slice(head.length);
    }
    line = rest;
  }
  return [...lines, line];
}
