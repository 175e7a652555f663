import { absolutePath } from "../../paths.ts";
import { STAND_IN_VERSION, standInNotice } from "../stand_in.ts";
import type { Context } from "./context.ts";
import { directiveWords } from "./directives.ts";
import { jobEnvironment } from "./environment.ts";
import { cpusOf, isDone, type Job, type Part, type Spec, WHOLE } from "./job.ts";
import { ownSession, ownUser } from "./machine.ts";
import {
  noHeterogeneousJobs,
  optionsOfDirectives,
  optionsOfEnvironment,
  type Request,
  sbatchGrammar,
  toRequest,
} from "./sbatch_options.ts";
import { makeStore, putJob, readJob, takeIds, withLock, writeWhole } from "./store.ts";
import { formatTime } from "./times.ts";
import { readWords, Refusal } from "./words.ts";

/** The exit code for a command line that sbatch does not understand (22.05). */
const BAD_OPTION = 255;

/** Slurm's own limit of a script's size. */
const LARGEST_SCRIPT = 4 * 1024 * 1024;

/** Submits a batch script to the stand-in, as sbatch does, and returns the exit code. */
export async function sbatch(context: Context, words: readonly string[]): Promise<number> {
  const { options, operands } = readWords(sbatchGrammar(BAD_OPTION), words);
  if (options.some(({ name }) => name === "version")) {
    context.out(`${VERSION_LINE}\n`);
    return 0;
  }
  if (options.some(({ name }) => name === "help" || name === "usage")) {
    context.out("Usage: sbatch [OPTIONS] script [ARGUMENTS], see Slurm's manual of sbatch\n");
    return 0;
  }
  if (operands[0] === ":") throw noHeterogeneousJobs();
  const wrap = options.findLast(({ name }) => name === "wrap")?.value;
  const script = await readScript(operands[0], wrap, operands.length > 0);
  const request = toRequest(
    [
      ...(wrap === undefined
        ? optionsOfDirectives(directiveWords(textOf(script)), BAD_OPTION)
        : []),
      ...optionsOfEnvironment(context.environment),
      ...options,
    ],
    context.now(),
    BAD_OPTION,
  );
  refuseOtherClusters(request, context.cluster);
  const template = specOf(context, request, operands, wrap, words);
  if (request.testOnly) {
    context.err(
      `sbatch: Job ${template.jobId} to start at ${formatTime(context.now(), undefined)} using ` +
        `${
          cpusOf(template)
        } processors on nodes ${context.host} in partition ${template.partition}`,
    );
    return 0;
  }
  const spec = submit(context, template, script, request);
  context.wakeRunner();
  announce(context, request, spec.jobId);
  return request.wait ? await waitFor(context, spec.jobId) : 0;
}

/** What the stand-in's programs say of their version. */
export const VERSION_LINE = `slurm ${STAND_IN_VERSION}`;

/** Returns the script as it is, which need not be UTF-8; throws where sbatch refuses it. */
async function readScript(
  path: string | undefined,
  wrap: string | undefined,
  hasOperands: boolean,
): Promise<Uint8Array> {
  if (wrap !== undefined) {
    if (hasOperands) {
      throw new Refusal("sbatch: error: Script arguments not permitted with --wrap option");
    }
    const text = `#!/bin/sh\n# This script was created by sbatch --wrap.\n\n${wrap}\n`;
    return new TextEncoder().encode(text);
  }
  const bytes = path === undefined
    ? new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer())
    : readFile(path);
  if (bytes.length > LARGEST_SCRIPT) throw failed("Batch script is larger than 4 MiB");
  const text = textOf(bytes);
  if (text === "") throw new Refusal("sbatch: error: Batch script is empty!");
  if (text.trim() === "") {
    throw new Refusal("sbatch: error: Batch script contains only whitespace!");
  }
  if (!text.startsWith("#!")) {
    throw new Refusal([
      "sbatch: error: This does not look like a batch script.  The first",
      "sbatch: error: line must start with #! followed by the path to an interpreter.",
      "sbatch: error: For instance: #!/bin/sh",
    ].join("\n"));
  }
  if (text.includes("\0")) {
    throw new Refusal(
      "sbatch: error: The Slurm controller does not allow scripts that\n" +
        "sbatch: error: contain a NULL character '\\0'.",
    );
  }
  if (text.includes("\r\n")) {
    throw new Refusal(
      "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n" +
        "sbatch: error: instead of expected UNIX line breaks (\\n).",
    );
  }
  return bytes;
}

function textOf(script: Uint8Array): string {
  // With a byte order mark it does not begin with `#!`.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(script);
}

function readFile(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch {
    throw new Refusal(`sbatch: error: Unable to open file ${path}`);
  }
}

function refuseOtherClusters({ clusters }: Request, own: string): void {
  const other = clusters?.split(",").find((name) => name !== "" && name !== own);
  if (other === undefined) return;
  throw new Refusal(
    `sbatch: error: No cluster '${other}' known by database.\n` +
      `sbatch: error: '${other}' can't be reached now, or it is an invalid entry for --cluster.  ` +
      `The local stand-in is '${own}'`,
  );
}

function failed(why: string): Refusal {
  return new Refusal(`sbatch: error: Batch job submission failed: ${why}`);
}

function specOf(
  context: Context,
  request: Request,
  operands: readonly string[],
  wrap: string | undefined,
  words: readonly string[],
): Spec {
  const cwd = Deno.cwd();
  const [script, ...args] = operands;
  const { user } = ownUser();
  const optional = {
    array: request.array,
    command: script === undefined ? undefined : absolutePath(script, cwd),
    output: request.output,
    error: request.error,
    input: request.input,
    begin: request.begin,
    minutes: request.minutes || undefined,
    dependency: request.dependency,
    warning: request.warning,
    comment: request.comment,
    tasks: request.tasks,
    cpusPerTask: request.cpusPerTask,
    tasksPerNode: request.tasksPerNode,
    memory: request.memory,
  };
  return {
    version: 1,
    jobId: 0,
    name: request.jobName ??
      (wrap !== undefined ? "wrap" : script?.slice(script.lastIndexOf("/") + 1) ?? "sbatch"),
    workDir: request.chdir === undefined ? cwd : absolutePath(request.chdir, cwd),
    args,
    submitLine: [context.calledAs, ...words].join(" "),
    append: request.append,
    umask: Deno.umask(),
    ...ownUser(),
    host: context.host,
    session: ownSession(),
    submit: Math.floor(context.now()),
    held: request.hold,
    killInvalid: request.killInvalid,
    partition: request.partition ?? "local",
    account: request.account ?? user,
    qos: request.qos ?? "normal",
    nice: request.nice,
    requeue: request.requeue,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  } as Spec;
}

function submit(context: Context, template: Spec, script: Uint8Array, request: Request): Spec {
  const { store, environment } = context;
  makeStore(store);
  return withLock(store, () => {
    const places = environment["DATALAD_SLURM_LOCAL_JOBS"];
    if (places !== undefined && /^[1-9]\d{0,3}$/.test(places)) {
      writeWhole(`${store.directory}/max-jobs`, places);
    }
    const spec = { ...template, jobId: takeIds(store, template) };
    const spool = `${store.spool}/${spec.jobId}`;
    Deno.mkdirSync(spool, { recursive: true, mode: 0o700 });
    Deno.writeFileSync(`${spool}/slurm_script`, script, { mode: 0o700 });
    const variables = jobEnvironment(context, spec, request.export);
    Deno.writeTextFileSync(
      `${spool}/environment`,
      Object.entries(variables).map(([name, value]) => `${name}=${value}\0`).join(""),
      { mode: 0o600 },
    );
    putJob(store, spec);
    return spec;
  });
}

function announce(context: Context, request: Request, jobId: number): void {
  const named = request.clusters === undefined ? undefined : context.cluster;
  if (!request.quiet) {
    if (request.parsable) context.out(`${jobId}${named === undefined ? "" : `;${named}`}\n`);
    else {
      const where = named === undefined ? "" : ` on cluster ${named}`;
      context.out(`Submitted batch job ${jobId}${where}\n`);
    }
  }
  if (request.ignored.length > 0) {
    const names = request.ignored.map((name) => `--${name}`).join(", ");
    context.err(`sbatch: The local stand-in takes no account of ${names}`);
  }
  context.err(standInNotice(String(jobId), context.cluster));
}

/** Waits for a job's end and returns its exit code: of an array the highest of its tasks. */
async function waitFor(context: Context, jobId: number): Promise<number> {
  for (let pause = 50;; pause = Math.min(pause * 1.3, 1000)) {
    const job = readJob(context.store, jobId);
    if (job === undefined) return 1;
    if (isDone(job)) return exitCodeOf(job);
    context.wakeRunner();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function exitCodeOf({ parts }: Job): number {
  const code = ({ state, code = 0, signal = 0 }: Part) =>
    code > 0 ? code : signal > 0 ? 128 + signal : state === "COMPLETED" ? 0 : 1;
  return Math.max(...[...parts.values()].map(code), 0, parts.size === 0 ? WHOLE : 0);
}
