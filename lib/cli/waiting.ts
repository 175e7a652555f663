import { ToolError } from "../errors.ts";
import type { OptionSpec, ParsedArguments } from "./arguments.ts";

/** How long one waits; for options that wait. */
export const TIMEOUT: OptionSpec = {
  name: "timeout",
  value: "DURATION",
  help: "Wait no longer than this: seconds, or 90s, 15m, 1h30m, 2d; exit code 8 tells that jobs " +
    "are not over then",
};

/**
 * Returns the longest time to wait in milliseconds, for ever when it is not given. Throws a
 * {@link ToolError} when it is no duration, or when nothing waits.
 */
export function timeoutOf(words: ParsedArguments, waits: string): number | undefined {
  const given = words.last(TIMEOUT.name);
  if (given === undefined) return undefined;
  if (!words.has(waits)) {
    throw new ToolError("usage", `--${TIMEOUT.name} is about --${waits}, which is not given`, {
      hint: "See how it is called with --help",
    });
  }
  const seconds = parseDuration(given);
  if (seconds === undefined) {
    throw new ToolError("usage", `--${TIMEOUT.name} takes a time, not ${JSON.stringify(given)}`, {
      hint: "Such as 90 or 90s for seconds, 15m, 1h30m, 2d",
    });
  }
  return seconds * 1000;
}

/** Returns a duration such as `90`, `15m`, `1h30m` or `2d` in seconds; undefined for other text. */
export function parseDuration(text: string): number | undefined {
  const match = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?$/.exec(text);
  if (match === null || text === "") return undefined;
  const [, days = 0, hours = 0, minutes = 0, seconds = 0] = match;
  const all = ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
  // What a timer can hold is 24 days; nobody waits for years.
  return all <= 365 * 86_400 ? all : undefined;
}
