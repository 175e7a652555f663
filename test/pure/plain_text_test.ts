import assert from "node:assert/strict";
import { plainText } from "../../lib/cli/plain_text.ts";

const MARKDOWN = `# A title

Some \`code\` and **strong** words, and
[a link](https://example.org/x) beside [the guide](guide.md).

## A \`heading\`

- an item that is longer than a line of the
  terminal is
- another

    $ a command that is longer than a line of the terminal
    its output

    after an empty line

| name | what | more |
| ---- | ---- | ---- |
| \`a\\|b\` | one | two |
`;

Deno.test("Markdown is plain text on a terminal; only code is wider than that", () => {
  assert.deepEqual(plainText(MARKDOWN, 30, (text) => `<${text}>`), [
    "<A title>",
    "",
    "Some code and strong words,",
    "and a link",
    "(https://example.org/x) beside",
    "the guide.",
    "",
    "<A heading>",
    "",
    "- an item that is longer than",
    "  a line of the terminal is",
    "- another",
    "",
    "    $ a command that is longer than a line of the terminal",
    "    its output",
    "",
    "    after an empty line",
    "",
    "a|b",
    "    one; two",
  ]);
});
