import { externalError, run, type RunOptions, type RunResult, stream } from "../process/run.ts";

/** What every git and git-annex process of this tool is started with. */
export interface GitOptions extends Pick<RunOptions, "stdin" | "stderr" | "env" | "timeoutMs"> {
  /** Exit codes besides 0 that the caller understands; any other code throws. */
  readonly tolerate?: readonly number[];
  /** Settings laid over the user's, as `name=value`. */
  readonly config?: readonly string[];
}

/**
 * The environment of git's children. Variables that point git at another repository or index than
 * the one named are removed (they are set inside hooks and aliases); pathspecs are literal, because
 * file names may hold `*` or start with `:`; messages are English and nothing prompts.
 */
export function gitEnvironment(): Record<string, string | undefined> {
  return {
    GIT_DIR: undefined,
    GIT_WORK_TREE: undefined,
    GIT_INDEX_FILE: undefined,
    GIT_COMMON_DIR: undefined,
    GIT_OBJECT_DIRECTORY: undefined,
    GIT_ALTERNATE_OBJECT_DIRECTORIES: undefined,
    GIT_NAMESPACE: undefined,
    GIT_PREFIX: undefined,
    GIT_LITERAL_PATHSPECS: "1",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_TERMINAL_PROMPT: "0",
    GIT_PAGER: "cat",
    LC_ALL: "C.UTF-8",
  };
}

/**
 * Laid over the environment of a git that may write many objects. It allocates and frees a quarter of
 * a megabyte for each. By itself glibc gives that back to the kernel every time, and gets it again page
 * by page: 1,000 objects cost 1.6 s of processor time in place of 0.2 s (git 2.39, glibc 2.36). Other C
 * libraries ignore these; a git that writes little is slower with them.
 */
export const WRITING_OBJECTS: Readonly<Record<string, string>> = {
  MALLOC_TRIM_THRESHOLD_: "268435456",
  MALLOC_TOP_PAD_: "1048576",
  MALLOC_MMAP_THRESHOLD_: "33554432",
};

/** The environment of git-annex, which sets up the pathspecs of its own git processes. */
export function annexEnvironment(): Record<string, string | undefined> {
  return { ...gitEnvironment(), GIT_LITERAL_PATHSPECS: undefined };
}

/**
 * Settings laid over the user's: locks of refs that other git commands hold for a moment are waited
 * for (milliseconds), and no automatic housekeeping starts below a job.
 */
const SETTINGS = [
  "core.filesRefLockTimeout=10000",
  "core.packedRefsTimeout=10000",
  "gc.auto=0",
  "maintenance.auto=false",
];

/**
 * What git says when somebody else's `git gc` has removed an empty directory of the object database
 * just when a new object was to go there (2.39). Nothing has been changed then.
 */
const LOST_DIRECTORY = /unable to create temporary file: No such file or directory/;

/** Returns the argv of a git process of ours as people read it, without the settings of all. */
export function plainArgv(argv: readonly string[]): readonly string[] {
  const [program, ...rest] = argv;
  if (program !== "git") return argv;
  const isSetting = (index: number) => SETTINGS.includes(rest[index] ?? "");
  return ["git", ...rest.filter((_, index) => !isSetting(index) && !isSetting(index + 1))];
}

/**
 * Runs git in a directory and returns how it ended. Throws a {@link ToolError} that shows argv,
 * directory, exit code and stderr when the code is neither 0 nor tolerated.
 */
export async function git(
  directory: string,
  args: readonly string[],
  options: GitOptions = {},
): Promise<RunResult> {
  const { tolerate = [], config = [], env, ...rest } = options;
  const settings = [...SETTINGS, ...config].flatMap((setting) => ["-c", setting]);
  const argv = ["git", ...settings, ...args];
  const once = () => run(argv, { ...rest, cwd: directory, env: { ...gitEnvironment(), ...env } });
  let result = await once();
  for (let tries = 1; result.code !== 0 && tries < 5; tries++) {
    if (!LOST_DIRECTORY.test(result.stderr)) break;
    result = await once();
  }
  if (result.code !== 0 && !tolerate.includes(result.code)) {
    throw externalError(result, `git ${args[0] ?? ""} failed in ${JSON.stringify(directory)}`);
  }
  return result;
}

/**
 * Runs git in a directory and yields what it prints piece by piece, as NUL separates it. Throws a
 * {@link ToolError} at the end when git has failed; who stops reading early ends git.
 */
export async function* gitStream(
  directory: string,
  args: readonly string[],
): AsyncGenerator<string> {
  const argv = ["git", ...SETTINGS.flatMap((setting) => ["-c", setting]), ...args];
  const result = yield* stream(argv, { cwd: directory, env: gitEnvironment() });
  if (result.code !== 0) {
    throw externalError(result, `git ${args[0] ?? ""} failed in ${JSON.stringify(directory)}`);
  }
}
