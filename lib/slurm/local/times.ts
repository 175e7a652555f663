/**
 * Returns a time limit in minutes, seconds rounded up: `30`, `5:30`, `1:00:00`, `2-12`, `2-12:30`,
 * `2-12:30:00`; 0 for none (`0`, `infinite`), undefined for anything else.
 */
export function parseMinutes(text: string): number | undefined {
  if (/^(infinite|unlimited|-1)$/i.test(text)) return 0;
  const withDays = /^(\d+)-(\d+)(?::(\d+)(?::(\d+))?)?$/.exec(text);
  if (withDays !== null) {
    const [days = 0, hours = 0, minutes = 0, seconds = 0] = numbers(withDays);
    return (days * 24 + hours) * 60 + minutes + Math.ceil(seconds / 60);
  }
  const match = /^(?:(\d+):)?(\d+)(?::(\d+))?$/.exec(text);
  if (match === null) return undefined;
  const parts = numbers(match);
  if (match[1] === undefined && match[3] === undefined) return parts[1] ?? 0;
  if (match[3] === undefined) return (parts[0] ?? 0) + Math.ceil((parts[1] ?? 0) / 60);
  const [hours = 0, minutes = 0, seconds = 0] = match[1] === undefined
    ? [0, parts[1], parts[2]]
    : parts;
  return hours * 60 + minutes + Math.ceil(seconds / 60);
}

function numbers(match: RegExpExecArray): number[] {
  return match.slice(1).map((part) => Number(part ?? 0));
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
};

/**
 * Returns a moment in seconds since 1970, seen from `now`: `now`, `now+2hours`, `now-300seconds`,
 * `now+60`, `today`, `midnight`, `tomorrow`, `16:00`, `2026-12-24`, `2026-12-24T18:30[:00]`;
 * undefined for anything else.
 */
export function parseMoment(text: string, now: number): number | undefined {
  const relative = /^now(?:([+-])(\d+)([a-z]*))?$/i.exec(text);
  if (relative !== null) {
    const [, sign, amount = "0", unit = ""] = relative;
    const name = Object.keys(UNIT_SECONDS).find((name) =>
      unit === "" ? name === "second" : `${name}s`.startsWith(unit.toLowerCase())
    );
    if (name === undefined) return undefined;
    return now + (sign === "-" ? -1 : 1) * Number(amount) * (UNIT_SECONDS[name] ?? 1);
  }
  const day = new Date(now * 1000);
  day.setHours(0, 0, 0, 0);
  if (text === "today" || text === "midnight") return day.getTime() / 1000;
  if (text === "tomorrow") return day.getTime() / 1000 + 86_400;
  const clock = /^(\d\d?):(\d\d)(?::(\d\d))?$/.exec(text);
  if (clock !== null) {
    day.setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0));
    return day.getTime() / 1000;
  }
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?)?$/.test(text)) return undefined;
  const time = new Date(text.includes("T") ? text : `${text}T00:00:00`).getTime();
  return Number.isNaN(time) ? undefined : time / 1000;
}

/** Returns when `--begin` lets a job start; a time of day that is over is tomorrow's. */
export function parseBegin(text: string, now: number): number | undefined {
  const moment = parseMoment(text === "midnight" ? "tomorrow" : text, now);
  if (moment === undefined) return undefined;
  return moment < now && /^\d\d?:/.test(text) ? moment + 86_400 : Math.floor(moment);
}

/** Returns a time as SLURM_TIME_FORMAT has it: ISO 8601 of the local zone, or as strftime does. */
export function formatTime(seconds: number, format: string | undefined): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, "0");
  const parts: Record<string, string> = {
    s: String(Math.floor(seconds)),
    Y: String(date.getFullYear()),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    H: two(date.getHours()),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    "%": "%",
  };
  parts["F"] = `${parts["Y"]}-${parts["m"]}-${parts["d"]}`;
  parts["T"] = `${parts["H"]}:${parts["M"]}:${parts["S"]}`;
  const pattern = format === undefined || !format.includes("%") ? "%FT%T" : format;
  return pattern.replace(/%(.)/g, (whole, letter: string) => parts[letter] ?? whole);
}

/** Returns a duration as `00:05:00` or `1-02:03:04`. */
export function formatDuration(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const clock = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60].map(two).join(":");
  return days === 0 ? clock : `${days}-${clock}`;
}

/** Returns a duration as squeue shows it: `5:00`, `1:02:03`, `1-02:03:04`. */
export function formatShortDuration(seconds: number): string {
  return formatDuration(seconds).replace(/^00:0?/, "").replace(/^0(\d:\d\d:)/, "$1");
}
