import assert from "node:assert/strict";
import { IndexDraft, settleDraft } from "../../lib/git/index_draft.ts";
import { makeScratch, output, removeScratch } from "../support/scratch.ts";

Deno.test("what was rewritten in the second it was staged in is staged anew in a younger draft", async () => {
  const scratch = await makeScratch();
  const root = `${scratch.directory}/ds`;
  const [file, index, path] = [`${root}/out`, `${root}/.git/index`, `${root}/.git/draft`];
  const git = (...args: string[]) =>
    output(["git", ...args], { cwd: root, env: { ...scratch.env, GIT_INDEX_FILE: path } });
  const inTheSecond = async (name: string) => await Deno.utime(name, 1_700_000_000, 1_700_000_000);
  try {
    await output(["git", "init", "-q", root], { cwd: "/", env: scratch.env });
    // It stands for a change within that second, too: the time of the inode cannot be set.
    await git("config", "core.trustCtime", "false");
    await Deno.writeTextFile(file, "354");
    await inTheSecond(file);
    await output(["git", "add", "out"], { cwd: root, env: scratch.env });
    await inTheSecond(index);
    await Deno.writeTextFile(file, "360");
    await inTheSecond(file);
    const repository = { root, gitDirectory: `${root}/.git` } as Parameters<
      typeof IndexDraft.of
    >[0];
    IndexDraft.of(repository, path);
    await git("update-index", "out");
    assert.equal(await git("cat-file", "-p", ":out"), "360");
  } finally {
    await removeScratch(scratch);
  }
});

/** Makes a repository, and has a draft with one more file taken the index's place under its lock. */
async function withDraftInPlace(
  use: (
    at: {
      readonly repository: Parameters<typeof settleDraft>[0];
      readonly draft: string;
      readonly staged: () => Promise<string>;
    },
  ) => Promise<void>,
): Promise<void> {
  const scratch = await makeScratch();
  const root = `${scratch.directory}/ds`;
  const gitDirectory = `${root}/.git`;
  const git = (...args: string[]) =>
    output(["git", ...args], { cwd: root, env: { ...scratch.env, GIT_OPTIONAL_LOCKS: "0" } });
  try {
    await output(["git", "init", "-q", root], { cwd: "/", env: scratch.env });
    await Deno.writeTextFile(`${root}/mine`, "mine\n");
    await git("add", "mine");
    const [, object = ""] = (await git("ls-files", "-s")).split(" ");
    const repository = { root, gitDirectory } as Parameters<typeof settleDraft>[0];
    const draft = `${gitDirectory}/draft`;
    const own = IndexDraft.of(repository, draft);
    assert(await own.lock([{ path: "of-job", mode: "100644", object }], true));
    assert(own.put());
    const staged = async () => (await git("ls-files")).trim();
    assert.equal(await staged(), "mine\nof-job");
    await use({ repository, draft, staged });
  } finally {
    await removeScratch(scratch);
  }
}

Deno.test("of two dead finishes the one without the lock leaves the other's to be settled", () =>
  withDraftInPlace(async ({ repository, draft, staged }) => {
    for (const moved of [false, true]) {
      settleDraft(repository, `${repository.gitDirectory}/other`, moved);
      assert.equal(await staged(), "mine\nof-job");
    }
    settleDraft(repository, draft, false);
    assert.equal(await staged(), "mine");
    await assert.rejects(Deno.lstat(`${repository.gitDirectory}/index.lock`));
  }));

Deno.test("where the branch has moved the draft stays in the index's place", () =>
  withDraftInPlace(async ({ repository, draft, staged }) => {
    settleDraft(repository, draft, true);
    assert.equal(await staged(), "mine\nof-job");
    await assert.rejects(Deno.lstat(`${repository.gitDirectory}/index.lock`));
  }));

Deno.test("where a user has removed the lock, that of another git command is left alone", () =>
  withDraftInPlace(async ({ repository, draft, staged }) => {
    const lock = `${repository.gitDirectory}/index.lock`;
    await Deno.remove(lock);
    await Deno.writeTextFile(lock, "of another git");
    settleDraft(repository, draft, false);
    assert.equal(await Deno.readTextFile(lock), "of another git");
    assert.equal(await staged(), "mine\nof-job");
  }));
