/** JavaScript's own wrapper of a number's text, which TypeScript does not declare yet. */
interface RawNumber {
  readonly rawJSON: string;
}

interface JsonWithSource {
  parse(text: string, reviver: (key: string, value: unknown, context: Source) => unknown): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
}

interface Source {
  readonly source?: string;
}

const json = JSON as unknown as JsonWithSource;

/** A number that JavaScript may write otherwise than it was read; some strings match as well. */
const FRAGILE_NUMBER = /(?:^|[:[,\s])(?:-?\d+[.eE]|-0)|\d{16}/;

/**
 * Returns the value of a JSON text. A number that would be written back otherwise (`1.0`, one
 * beyond 2^53) comes as `JSON.rawJSON`, so that it survives in what is only handed on. Throws a
 * `SyntaxError` for anything that is not JSON.
 */
export function readJson(text: string): unknown {
  if (!FRAGILE_NUMBER.test(text)) return JSON.parse(text);
  return json.parse(
    text,
    (_key, value, { source }) =>
      typeof value === "number" && source !== undefined && numberText(value) !== source
        ? json.rawJSON(source)
        : value,
  );
}

/**
 * Returns JSON as Python's `json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False,
 * separators=(",", ": "))` writes it, byte for byte. Members that are `undefined` are left out.
 */
export function writeJson(value: unknown): string {
  return written(value, "\n");
}

function written(value: unknown, newline: string): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (json.isRawJSON(value)) return value.rawJSON;
  const inner = `${newline} `;
  if (Array.isArray(value)) {
    return value.length === 0
      ? "[]"
      : `[${value.map((item) => inner + written(item, inner)).join(",")}${newline}]`;
  }
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([left], [right]) => compareCodePoints(left, right))
    .map(([key, member]) => `${inner}${JSON.stringify(key)}: ${written(member, inner)}`);
  return members.length === 0 ? "{}" : `{${members.join(",")}${newline}}`;
}

/** Python writes an exponent below 1e-4, of two digits at least; JavaScript below 1e-6. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) throw new TypeError(`JSON has no ${value}`);
  if (value === 0 || Math.abs(value) >= 1e-4) return String(value);
  return value.toExponential().replace(/e-(\d)$/, "e-0$1");
}

/** Python sorts by code point, JavaScript by UTF-16 unit: they differ beyond U+FFFF. */
function compareCodePoints(left: string, right: string): number {
  let index = 0;
  while (index < left.length && left.charCodeAt(index) === right.charCodeAt(index)) index++;
  return rank(left, index) - rank(right, index);
}

/** Surrogates stand for what comes after U+FFFF; the end of the text comes before everything. */
function rank(text: string, index: number): number {
  const unit = index < text.length ? text.charCodeAt(index) : -1;
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
