import type { BeginProgress, Progress } from "../process/progress.ts";
import type { Terminal } from "./terminal.ts";

/** Short work is over before anybody has read about it, in milliseconds. */
const PATIENCE = 500;
/** How often the line is written anew, in milliseconds. */
const INTERVAL = 100;

/**
 * Returns a function that begins to show on one line of the terminal how far long work has come;
 * when it is done, a line remains that sums it up. Undefined where nobody would see it.
 */
export function progressOn(terminal: Terminal): BeginProgress | undefined {
  return terminal.showsProgress ? (what) => begin(what, terminal) : undefined;
}

function begin(what: string, terminal: Terminal): Progress {
  const started = performance.now();
  let shown = 0;
  return (done, all, bytes, allBytes) => {
    const now = performance.now();
    const seconds = (now - started) / 1000;
    if (done === all) {
      if (shown > 0) terminal.say(summaryLine(what, all, bytes, seconds));
      shown = 0;
      return;
    }
    if (now - started < PATIENCE || now - shown < INTERVAL) return;
    shown = now;
    terminal.progress(progressLine(what, { done, all, bytes, allBytes, seconds }));
  };
}

/** How far long work has come. */
export interface Standing {
  readonly done: number;
  readonly all: number;
  readonly bytes: number | undefined;
  readonly allBytes: number | undefined;
  /** Since its beginning. */
  readonly seconds: number;
}

/** Returns `Adding outputs: 120 of 1000, 3.4 GB of 9.0 GB, 210 MB/s, 27 s left`. */
export function progressLine(what: string, standing: Standing): string {
  const { done, all, bytes, allBytes, seconds } = standing;
  const parts = [`${done} of ${all}`];
  const hasBytes = bytes !== undefined && bytes > 0;
  if (hasBytes) {
    parts.push(
      readableBytes(bytes) + (allBytes === undefined ? "" : ` of ${readableBytes(allBytes)}`),
      `${readableBytes(bytes / seconds)}/s`,
    );
  }
  // Bytes tell more than files, which are of all sizes.
  const share = hasBytes && allBytes !== undefined && allBytes > 0 ? bytes / allBytes : done / all;
  if (share > 0 && share <= 1) parts.push(`${readableDuration(seconds / share - seconds)} left`);
  return `${what}: ${parts.join(", ")}`;
}

/** Returns `Adding outputs: 1000 done, 9.0 GB, in 43 s`. */
function summaryLine(
  what: string,
  all: number,
  bytes: number | undefined,
  seconds: number,
): string {
  const amount = bytes === undefined || bytes === 0 ? "" : `, ${readableBytes(bytes)}`;
  return `${what}: ${all} done${amount}, in ${readableDuration(seconds)}`;
}

/** Returns a number of bytes for people: `512 B`, `3.4 MB`. */
export function readableBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Returns a duration for people: `0.4 s`, `43 s`, `3 min 20 s`, `5 h 2 min`, `3 d 4 h`. */
export function readableDuration(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (large: number, unit: string, small: number, smallUnit: string) =>
    `${large} ${unit}${small === 0 ? "" : ` ${small} ${smallUnit}`}`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return two(minutes, "min", whole % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return two(hours, "h", minutes % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}
