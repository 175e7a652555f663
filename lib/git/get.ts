import { ToolError } from "../errors.ts";
import type { Progress } from "../process/progress.ts";
import { converse } from "../process/run.ts";
import { absentBytes, findAbsent, requireAnnex } from "./annexed.ts";
import { AnnexProgress } from "./annex_progress.ts";
import { annexEnvironment } from "./git.ts";

/** A file whose content could not be had. */
export interface NotGotten {
  readonly path: string;
  readonly reason: string;
  /** The key that another process is fetching at this moment. */
  readonly busyKey?: string;
}

/**
 * Fetches the content of annexed files, relative to the root, and returns those that could not be
 * had. One git-annex does it all; `jobs` is how many files it transfers at a time.
 */
export async function getContent(
  root: string,
  files: readonly string[],
  jobs: number | undefined,
  progress?: Progress,
): Promise<NotGotten[]> {
  requireAnnex(root);
  const annex = converse([
    "git",
    "annex",
    "get",
    "--batch",
    "-z",
    "--json",
    "--json-error-messages",
    ...(progress === undefined ? [] : ["--json-progress"]),
    ...(jobs === undefined ? [] : [`-J${jobs}`]),
  ], { cwd: root, env: annexEnvironment() });
  const sending = (async () => {
    // NUL stands between names; after the last one git-annex would take it for an empty name.
    await annex.send(files.join("\0"));
    return await annex.end();
  })();
  const failed: NotGotten[] = [];
  const waiting = new Set(files);
  const allBytes = progress === undefined ? undefined : absentBytes(root, files);
  const underWay = new AnnexProgress();
  let bytes = 0;
  for await (const line of annex.lines) {
    if (!underWay.takes(line)) {
      const answer = parseGetAnswer(line);
      if (answer === undefined) continue;
      waiting.delete(answer.path);
      underWay.forget(answer.path);
      bytes += answer.bytes;
      const { path, reason, busyKey } = answer;
      if (reason !== undefined) {
        failed.push({ path, reason, ...(busyKey === undefined ? {} : { busyKey }) });
      }
    }
    const done = files.length - waiting.size - failed.length;
    progress?.(done, files.length, bytes + underWay.bytes, allBytes);
  }
  const ended = await sending;
  if (ended.code > 1 || ended.code === 1 && failed.length === 0) {
    throw new ToolError("external", "git-annex get failed", { details: ended.stderr.trim() });
  }
  // git-annex passes over what it does not know with an empty line, and ends with 0 (10.20230126).
  for (const path of findAbsent(root, [...waiting])) {
    failed.push({ path, reason: "git-annex passed over it" });
  }
  // Also files that came with another of the same content.
  if (failed.length === 0) progress?.(files.length, files.length, bytes, allBytes);
  return failed;
}

/** Parses `{"command":"get","file":"a","key":"MD5E-s5--…","success":true,…}` (10.20230126). */
export function parseGetAnswer(
  line: string,
):
  | {
    path: string;
    bytes: number;
    reason: string | undefined;
    busyKey: string | undefined;
  }
  | undefined {
  if (line === "") return undefined;
  let answer: Record<string, unknown>;
  try {
    answer = JSON.parse(line);
  } catch (cause) {
    throw new ToolError("external", "git-annex answered something that is not JSON", {
      details: line,
      cause,
    });
  }
  const { file, key, success, "error-messages": messages, note } = answer;
  if (typeof file !== "string") return undefined;
  const size = /^[^-]+-s(\d+)/.exec(typeof key === "string" ? key : "")?.[1];
  const said = [...(Array.isArray(messages) ? messages : []), note]
    .filter((part) => typeof part === "string" && part.trim() !== "").join("; ");
  return {
    path: file,
    bytes: success === true ? Number(size ?? 0) : 0,
    reason: success === true ? undefined : said || "git-annex does not say why",
    busyKey: success !== true && /transfer already in progress/.test(said)
      ? String(key)
      : undefined,
  };
}
