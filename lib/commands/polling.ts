import { sleep, throwIfInterrupted } from "../process/interruption.ts";
import { isLive, type JobPhase } from "../slurm/states.ts";

/** How long and how often jobs are looked at that are not over. */
export interface Polling {
  /** Milliseconds; for ever when absent. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds between two looks; soon at first and rarer later when absent. */
  readonly intervalMs?: number | undefined;
}

/** The first pause between two questions to Slurm, in milliseconds, and the longest. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

/** Many who wait must not ask at the same moment: each pause is longer or shorter by this part. */
const JITTER = 0.2;

/**
 * Returns the pauses between looks in milliseconds, each half as long again as the one before, up to
 * a minute. Three minutes make a dozen looks, every further hour 60.
 */
export function* pauses(random: () => number = Math.random): Generator<number, never> {
  for (let pause = FIRST_PAUSE;; pause = Math.min(pause * 1.5, LONGEST_PAUSE)) {
    yield pause * (1 - JITTER + 2 * JITTER * random());
  }
}

/** Tells when to look at jobs again. */
export class Poll {
  readonly #deadline: number;
  readonly #intervalMs: number | undefined;
  readonly #pauses = pauses();

  constructor({ timeoutMs, intervalMs }: Polling) {
    this.#deadline = performance.now() + (timeoutMs ?? Infinity);
    this.#intervalMs = intervalMs;
  }

  /**
   * Waits until the next look, the last one at the deadline; returns false when there is none any
   * more. Throws a `ToolError` of kind `interrupted` as soon as a signal comes.
   */
  async next(): Promise<boolean> {
    const left = this.#deadline - performance.now();
    if (left <= 0) return false;
    await sleep(Math.min(left, this.#intervalMs ?? this.#pauses.next().value));
    throwIfInterrupted();
    return true;
  }
}

/**
 * A job whose state is not known may only be new, or Slurm is being restarted: so long one waits on,
 * in milliseconds. Some jobs never become known again.
 */
const UNKNOWN_PATIENCE = 600_000;

/** Tells which jobs are worth waiting for. */
export class Expectation {
  readonly #unknownSince = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Returns whether a job is not over, or not known for a short time only. */
  isWorthwhile(key: string, phase: JobPhase | undefined): boolean {
    if (phase !== "unknown") this.#unknownSince.delete(key);
    if (phase === undefined) return false;
    if (phase !== "unknown") return isLive(phase);
    const since = this.#unknownSince.get(key) ?? this.#now();
    this.#unknownSince.set(key, since);
    return this.#now() - since < UNKNOWN_PATIENCE;
  }
}
