/**
 * Returns the words of the `#SBATCH` lines of a batch script, in their order: lines from the second
 * one on that stand before the first command, with single and double quotes and backslashes as
 * sbatch reads them, up to a word that begins with `#`.
 */
export function directiveWords(script: string): string[] {
  const words: string[] = [];
  for (const line of script.split("\n").slice(1)) {
    if (/^#SBATCH\s/.test(line)) words.push(...splitWords(line.slice("#SBATCH".length)));
    else if (line.trim() !== "" && !/^\s*#/.test(line)) break;
  }
  return words;
}

function splitWords(text: string): string[] {
  const words: string[] = [];
  for (let at = 0; at < text.length;) {
    if (/\s/.test(text[at] ?? "")) {
      at++;
      continue;
    }
    if (text[at] === "#") break;
    let word = "";
    let quote = "";
    for (; at < text.length; at++) {
      const char = text[at] ?? "";
      if (quote === "" && /\s/.test(char)) break;
      if (char === quote) quote = "";
      else if (quote === "" && (char === '"' || char === "'")) quote = char;
      else if (char === "\\" && quote !== "'" && at + 1 < text.length) word += text[++at];
      else word += char;
    }
    words.push(word);
  }
  return words;
}
