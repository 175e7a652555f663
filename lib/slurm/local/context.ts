import type { LocalStore } from "./store.ts";

/** What a program of the stand-in knows of the world. */
export interface Context {
  readonly store: LocalStore;
  /** The stand-in's cluster name on this machine. */
  readonly cluster: string;
  readonly host: string;
  /** The name that the program was called by. */
  readonly calledAs: string;
  readonly environment: Readonly<Record<string, string>>;
  /** The present, in seconds since 1970. */
  now(): number;
  /** Write text as it is to stdout, and lines to stderr. */
  out(text: string): void;
  err(line: string): void;
  /** Sees to it that the runner works on what is there; called without the lock. */
  wakeRunner(): void;
}
