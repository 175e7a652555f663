import { ToolError } from "../errors.ts";
import { explainFailure } from "./explain.ts";
import { findProgram } from "./find_program.ts";
import { isUninterrupted, killedBySignal } from "./interruption.ts";

/** How one external program is started. */
export interface RunOptions {
  /** The working directory; the current one when absent. */
  readonly cwd?: string;
  /** Variables laid over the inherited environment; `undefined` removes one. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** What the program reads from its stdin; without it stdin is empty. */
  readonly stdin?: string | Uint8Array;
  /** Where the program's stderr goes: collected (the default) or to ours, for progress. */
  readonly stderr?: "piped" | "inherit";
  /** Takes the program's stdout as it comes, in place of the result. */
  readonly onStdout?: (piece: Uint8Array) => void;
  /** After so many milliseconds the program is killed and the result says `timedOut`. */
  readonly timeoutMs?: number;
  /** Kills the program when its answer is not needed any more. */
  readonly stop?: AbortSignal;
  /** Starts the program in a session of its own (setsid), out of reach of Ctrl-C. */
  readonly detached?: boolean;
  /** Lets the program go on when a signal ends us. */
  readonly outlivesUs?: boolean;
}

/** How one external program ended. A non-zero exit is data, not an exception. */
export interface RunResult {
  readonly argv: readonly string[];
  readonly cwd: string | undefined;
  readonly code: number;
  readonly signal: string | null;
  readonly timedOut: boolean;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** Told of each program when it has ended, and how many milliseconds it took. */
export type RunObserver = (
  ended: Pick<RunResult, "argv" | "code" | "signal">,
  milliseconds: number,
) => void;

let observer: RunObserver | undefined;

/** Has every program reported from now on, for `--verbose`. */
export function observeRuns(next: RunObserver): void {
  observer = next;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Returns bytes as text; invalid UTF-8 becomes U+FFFD. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/**
 * Runs one program to its end and returns how it ended. Rejects with a {@link ToolError} only when
 * the program cannot be started: it is not on PATH, or the directory is gone.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const report = reporter(argv);
  const child = spawn(argv, options, options.stdin === undefined ? "null" : "piped");
  let timedOut = false;
  // Not setTimeout: the first one of a process costs 5 to 10 ms (Deno 2.9), this under 1.
  const limit = options.timeoutMs === undefined
    ? undefined
    : AbortSignal.timeout(options.timeoutMs);
  const end = () => kill(child, options.detached === true, "SIGKILL");
  const onLimit = () => {
    timedOut = true;
    end();
  };
  limit?.addEventListener("abort", onLimit);
  options.stop?.addEventListener("abort", end);
  if (options.stop?.aborted === true) end();
  const forget = options.outlivesUs === true ? () => {} : killedBySignal((overdue) => {
    timedOut ||= overdue;
    kill(child, options.detached === true, "SIGTERM");
  });
  try {
    // All at the same time: a program that answers while it reads would block otherwise.
    const [{ status, stdout, stderr }] = await Promise.all([
      ending(child, options),
      options.stdin === undefined ? undefined : feed(child.stdin, options.stdin),
    ]);
    report?.(status);
    return {
      argv,
      cwd: options.cwd,
      code: status.code,
      signal: status.signal,
      timedOut,
      stdout,
      stderr: text(stderr),
    };
  } finally {
    limit?.removeEventListener("abort", onLimit);
    options.stop?.removeEventListener("abort", end);
    forget();
  }
}

/**
 * Runs a program that answers within milliseconds, while nothing else happens, and returns its
 * stdout; undefined when its exit code is not 0 and when it cannot be started.
 */
export function answerOf(
  argv: readonly string[],
  { env = {} }: Pick<RunOptions, "env">,
): string | undefined {
  const report = reporter(argv);
  const [program = "", ...args] = argv;
  try {
    const output = new Deno.Command(program, {
      args,
      ...childEnvironment(env),
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).outputSync();
    report?.(output);
    return output.code === 0 ? text(output.stdout) : undefined;
  } catch {
    return undefined;
  }
}

/** A running program that answers its stdin line by line, as git-annex's `--batch` modes do. */
export interface Conversation {
  /** Sends bytes to the program; resolves when they are handed over. */
  send(input: string): Promise<void>;
  /** The program's stdout, split at newlines. */
  readonly lines: AsyncIterable<string>;
  /** Closes the program's stdin, waits for its end, and returns how it ended (stdout is empty). */
  end(): Promise<RunResult>;
}

/** Starts a program to talk to. Throws a {@link ToolError} when it cannot be started. */
export function converse(argv: readonly string[], options: RunOptions = {}): Conversation {
  const report = reporter(argv);
  const child = spawn(argv, options, "piped");
  let timedOut = false;
  const forget = options.outlivesUs === true ? () => {} : killedBySignal((overdue) => {
    timedOut ||= overdue;
    kill(child, false, "SIGTERM");
  });
  const writer = child.stdin.getWriter();
  const stderr = options.stderr === "inherit"
    ? Promise.resolve("")
    : new Response(child.stderr).text();
  return {
    async send(input) {
      try {
        await writer.write(encoder.encode(input));
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      }
    },
    lines: split(child.stdout, "\n"),
    async end() {
      await closeQuietly(writer);
      const [status, errors] = await Promise.all([child.status, stderr]);
      forget();
      report?.(status);
      return {
        argv,
        cwd: options.cwd,
        code: status.code,
        signal: status.signal,
        timedOut,
        stdout: new Uint8Array(),
        stderr: errors,
      };
    },
  };
}

/**
 * Runs a program and yields its stdout piece by piece, as NUL separates them; returns how it ended
 * (stdout is empty). Who stops reading early ends the program.
 */
export async function* stream(
  argv: readonly string[],
  options: RunOptions = {},
): AsyncGenerator<string, RunResult> {
  const report = reporter(argv);
  const child = spawn(argv, options, "null");
  const forget = killedBySignal(() => kill(child, false, "SIGTERM"));
  const stderr = options.stderr === "inherit"
    ? Promise.resolve("")
    : new Response(child.stderr).text();
  let isRead = false;
  try {
    yield* split(child.stdout, "\0");
    isRead = true;
  } finally {
    forget();
    if (!isRead) kill(child, false, "SIGTERM");
  }
  const [status, errors] = await Promise.all([child.status, stderr]);
  report?.(status);
  const { code, signal } = status;
  return {
    argv,
    cwd: options.cwd,
    code,
    signal,
    timedOut: false,
    stdout: new Uint8Array(),
    stderr: errors,
  };
}

/**
 * Returns the error for a program that ended with a code its caller does not tolerate: argv,
 * directory, exit code and stderr are in it, and what they mean where that is known.
 */
export function externalError(result: RunResult, message: string, hint?: string): ToolError {
  const ending = result.timedOut
    ? "did not answer in time and was stopped"
    : result.signal !== null
    ? `was ended by ${result.signal}`
    : `ended with exit code ${result.code}`;
  const lines = [`${showArgv(result.argv)} ${ending}`];
  if (result.cwd !== undefined) lines.push(`in ${JSON.stringify(result.cwd)}`);
  const said = (result.stderr.trim() || text(result.stdout).trim()).slice(-4000);
  if (said !== "") lines.push(said);
  const known = explainFailure(said);
  const advice = hint ?? known?.hint;
  return new ToolError("external", known === undefined ? message : `${message}: ${known.means}`, {
    details: lines.join("\n"),
    ...(advice === undefined ? {} : { hint: advice }),
  });
}

/** Returns argv as one line for people; words with anything unusual are shown in JSON quotes. */
export function showArgv(argv: readonly string[]): string {
  const words = argv.map((word) =>
    /^[\w@%+=:,./-]+$/.test(word)
      ? word
      : JSON.stringify(word.length > 200 ? `${word.slice(0, 200)}…` : word)
  );
  return words.length > 40
    ? `${words.slice(0, 40).join(" ")} … (${words.length} words)`
    : words.join(" ");
}

/** Returns what tells the observer of one program's end; undefined where there is no observer. */
function reporter(argv: readonly string[]) {
  if (observer === undefined) return undefined;
  const tell = observer;
  const started = performance.now();
  return ({ code, signal }: { readonly code: number; readonly signal: string | null }) =>
    tell({ argv, code, signal }, performance.now() - started);
}

function spawn(
  argv: readonly string[],
  options: RunOptions,
  stdin: "null" | "piped",
): Deno.ChildProcess {
  const [program, ...args] = argv;
  if (program === undefined) throw new TypeError("An empty argv cannot be run");
  const changes = options.env ?? {};
  // In a session of its own Ctrl-C does not reach it.
  const detached = options.detached ?? isUninterrupted();
  const leader = detached ? setsidFor(program, changes["PATH"] ?? Deno.env.get("PATH")) : undefined;
  try {
    return new Deno.Command(leader ?? program, {
      args: leader === undefined ? args : [program, ...args],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...childEnvironment(changes),
      stdin,
      stdout: "piped",
      stderr: options.stderr ?? "piped",
      detached: detached && leader === undefined,
    }).spawn();
  } catch (error) {
    throw startError(error, program, options.cwd);
  }
}

/**
 * Returns the program that starts another one as the leader of a session, which then has its pid:
 * setsid (util-linux). Deno by itself forks for that, with all its pages (2.9.6): it costs twice the
 * time, and a fault for each page that is written afterwards. Undefined where Deno has to do it, or to
 * say that there is no such program.
 */
function setsidFor(program: string, path: string | undefined): string | undefined {
  if (findProgram(program, path ?? "") === undefined) return undefined;
  setsid ??= findProgram("setsid", "/usr/bin:/bin") ?? "";
  return setsid === "" ? undefined : setsid;
}

let setsid: string | undefined;

/** A missing program and a missing directory are both NotFound: look at the directory to tell. */
function startError(error: unknown, program: string, cwd: string | undefined): unknown {
  if (cwd !== undefined && !isDirectory(cwd)) {
    return new ToolError("refused", `There is no directory ${JSON.stringify(cwd)}`);
  }
  if (error instanceof Deno.errors.NotFound) {
    return new ToolError("external", `Program ${JSON.stringify(program)} is not on PATH`, {
      hint: `Install ${program}, or load the module that provides it`,
      cause: error,
    });
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new ToolError("external", `Program ${JSON.stringify(program)} may not be run`, {
      cause: error,
    });
  }
  return error;
}

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Returns the environment of a child. It inherits ours, with what in it is not UTF-8, which `Deno.env`
 * leaves out (2.9): a submitted job is to have it. Only where a variable that we have is to be missing,
 * as git's own are, ours is written out, since Deno can remove none.
 */
function childEnvironment(
  changes: Readonly<Record<string, string | undefined>>,
): { readonly env: Record<string, string>; readonly clearEnv: boolean } {
  const clearEnv = Object.entries(changes)
    .some(([name, value]) => value === undefined && isSet(name));
  const env = clearEnv ? Deno.env.toObject() : {};
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return { env, clearEnv };
}

function isSet(name: string): boolean {
  try {
    return Deno.env.has(name);
  } catch {
    // It is not UTF-8.
    return true;
  }
}

/** Ends a program with what it has started: whoever is left would keep its pipes open. */
function kill(child: Deno.ChildProcess, session: boolean, signal: Deno.Signal): void {
  // A negative number reaches the whole session, which there is once setsid has made it.
  if (session && sent(-child.pid, signal)) return;
  for (const pid of [child.pid, ...descendants(child.pid)]) sent(pid, signal);
}

/** Sends a signal; returns whether there was anything to send it to. */
function sent(pid: number, signal: Deno.Signal): boolean {
  try {
    Deno.kill(pid, signal);
    return true;
  } catch {
    // It ended by itself in the meantime.
    return false;
  }
}

/** Returns the processes below one, as far as Linux tells. */
function descendants(pid: number): number[] {
  let children: string;
  try {
    children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`);
  } catch {
    return [];
  }
  return children.split(" ").filter((word) => word.trim() !== "").map(Number)
    .flatMap((child) => [child, ...descendants(child)]);
}

const NOTHING = new Uint8Array();

/**
 * So many programs of a process are read by `child.output()`, with which a short command is quicker by
 * a hundredth or two. But with each pipe the process grows by some 60 KB that V8 is not told of and so
 * does not collect (Deno 2.9), and a batch runs thousands.
 */
let readAtOnce = 50;

/** Returns how a program has ended, and what it printed. */
async function ending(
  child: Deno.ChildProcess,
  { stderr, onStdout }: RunOptions,
): Promise<{ status: Deno.CommandStatus; stdout: Uint8Array; stderr: Uint8Array }> {
  const isInherited = stderr === "inherit";
  if (readAtOnce > 0 && onStdout === undefined) {
    readAtOnce--;
    const output = await child.output();
    const { stdout } = output;
    return { status: output, stdout, stderr: isInherited ? NOTHING : output.stderr };
  }
  const [status, out, errors] = await Promise.all([
    child.status,
    onStdout === undefined ? collect(child.stdout) : handOver(child.stdout, onStdout),
    isInherited ? NOTHING : collect(child.stderr),
  ]);
  return { status, stdout: out, stderr: errors };
}

/** Returns all that a stream yields. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  // Copied even if it is one: each keeps 64 KB alive, however little is in it.
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Gives a stream away piece by piece; returns what is left to collect, which is nothing. */
async function handOver(
  stream: ReadableStream<Uint8Array>,
  take: (piece: Uint8Array) => void,
): Promise<Uint8Array> {
  for await (const piece of stream) take(piece);
  return NOTHING;
}

async function feed(
  stream: WritableStream<Uint8Array>,
  input: string | Uint8Array,
): Promise<void> {
  const writer = stream.getWriter();
  try {
    await writer.write(typeof input === "string" ? encoder.encode(input) : input);
  } catch (error) {
    // A program that ignores its stdin may end before it is written (Deno 2.9).
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  await closeQuietly(writer);
}

async function closeQuietly(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  try {
    await writer.close();
  } catch {
    // The program has closed its end already.
  }
}

async function* split(
  bytes: ReadableStream<Uint8Array>,
  separator: string,
): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of bytes.pipeThrough(new TextDecoderStream())) {
    const pieces = (rest + chunk).split(separator);
    rest = pieces.pop() ?? "";
    yield* pieces;
  }
  if (rest !== "") yield rest;
}
