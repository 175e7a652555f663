import type { Terminal } from "./terminal.ts";

/**
 * Returns a moment as people read it: `3 min ago` on a terminal, the local date and time where it
 * is kept in a file or read by a program.
 */
export function readableTime(
  time: Date,
  { isTerminal }: Pick<Terminal, "isTerminal">,
  now: Date = new Date(),
): string {
  const seconds = Math.round((now.getTime() - time.getTime()) / 1000);
  // A clock of another machine may be a little ahead.
  if (!isTerminal || seconds < -5 || seconds >= 14 * DAY) return localTime(time);
  if (seconds < 60) return `${Math.max(0, seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 2 * DAY) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / DAY)} d ago`;
}

const DAY = 24 * 3600;

/** Returns the local date and time to the minute: `2026-05-04 10:31`. */
export function localTime(time: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ` +
    `${two(time.getHours())}:${two(time.getMinutes())}`;
}
