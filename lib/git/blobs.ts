import { text } from "../process/run.ts";
import { git } from "./git.ts";

/** git-annex takes no larger file for a pointer (10.20230126). */
const MOST_POINTER = 32768;

/** Returns the content of a blob by a name such as `COMMIT:path`; undefined where there is none. */
export async function readBlob(root: string, name: string): Promise<Uint8Array | undefined> {
  const { stdout } = await git(root, ["cat-file", "--batch"], { stdin: `${name}\n` });
  const end = stdout.indexOf(0x0a);
  // "3f2e… blob 120" LF, that many bytes, LF; or "COMMIT:path missing" LF (git 2.39)
  const [, size] = / blob (\d+)$/.exec(text(stdout.subarray(0, end))) ?? [];
  return size === undefined ? undefined : stdout.subarray(end + 1, end + 1 + Number(size));
}

/** Returns the texts of blobs by id. They are held in memory: links and pointers are meant. */
export async function blobTexts(
  root: string,
  ids: readonly string[],
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  const distinct = [...new Set(ids)];
  if (distinct.length === 0) return texts;
  const { stdout } = await git(root, ["cat-file", "--batch"], {
    stdin: distinct.map((id) => `${id}\n`).join(""),
  });
  let at = 0;
  for (const id of distinct) {
    // "3f2e… blob 120" LF, that many bytes, LF; or "3f2e… missing" LF (git 2.39)
    const end = stdout.indexOf(0x0a, at);
    const size = Number(text(stdout.subarray(at, end)).split(" ")[2]);
    at = end + 1;
    if (Number.isNaN(size)) continue;
    texts.set(id, text(stdout.subarray(at, at + size)));
    at += size + 1;
  }
  return texts;
}

/** Returns the same, but leaves out what is larger than a pointer of git-annex can be. */
export async function smallBlobs(
  root: string,
  ids: readonly string[],
): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map();
  const { stdout } = await git(root, ["cat-file", "--batch-check"], {
    stdin: [...new Set(ids)].map((id) => `${id}\n`).join(""),
  });
  // "3f2e… blob 120" (git 2.39)
  const small = text(stdout).split("\n").flatMap((line) => {
    const [id, type, size] = line.split(" ");
    return id !== undefined && type === "blob" && Number(size) <= MOST_POINTER ? [id] : [];
  });
  return await blobTexts(root, small);
}
