import type { DatasetKind, TestDataset } from "../support/dataset.ts";

/** How long a user repeats a command that finds one of git's locks taken, in milliseconds. */
const PATIENCE = 60_000;

/** A user who works in the dataset with git and DataLad while the tool is at work. */
export class User {
  /** Subjects of the commits that were made. */
  readonly subjects: string[] = [];
  /** Files that are staged and stay so. */
  readonly staged: string[] = [];
  commands = 0;
  #files = 0;

  constructor(readonly dataset: TestDataset, readonly kind: DatasetKind) {}

  /** Does one thing after the other until some work has ended. */
  async workUntil(work: Promise<unknown>): Promise<void> {
    let isOver = false;
    const note = () => {
      isOver = true;
    };
    work.then(note, note);
    const habits = [
      () => this.#commit(),
      () => this.#stage(),
      () => this.#save(),
      () => this.#git("gc", "--quiet"),
      () => this.#amend(),
    ];
    for (let turn = 0; !isOver; turn++) await habits[turn % habits.length]?.();
  }

  async #newFile(): Promise<string> {
    const path = `user/${++this.#files}`;
    await this.dataset.write(path, `of the user's ${this.#files}\n`);
    return path;
  }

  /** `git commit` with a path leaves out what else is staged. */
  async #commit(): Promise<void> {
    const path = await this.#newFile();
    await this.#add(path);
    await this.#git("commit", "--quiet", "-m", `Add ${path}`, "--", path);
    this.subjects.push(`Add ${path}`);
  }

  /**
   * Where the index is locked, git-annex adds a file all the same but for the index, says so on
   * stderr and ends with exit code 0 (10.20230126).
   */
  async #add(path: string): Promise<void> {
    if (this.kind === "git") return await this.#git("add", path);
    for (;;) {
      const { code, stderr } = await this.dataset.run(["git", "annex", "add", path]);
      this.commands++;
      if (code === 0 && !/index\.lock/.test(stderr)) return;
      if (!/index\.lock/.test(stderr)) throw new Error(`git annex add of the user: ${stderr}`);
    }
  }

  async #stage(): Promise<void> {
    const path = await this.#newFile();
    await this.#git("add", path);
    this.staged.push(path);
  }

  async #save(): Promise<void> {
    if (this.kind === "git") return;
    const path = await this.#newFile();
    await this.#run("datalad", "save", "-m", `Save ${path}`, path);
    this.subjects.push(`Save ${path}`);
  }

  /** Replaces the user's last commit, as `git commit --amend` does, if nothing has come after it. */
  async #amend(): Promise<void> {
    const old = await this.dataset.git("rev-parse", "HEAD");
    const subject = await this.dataset.git("log", "-1", "--format=%s", old);
    if (subject !== this.subjects.at(-1)) return;
    const tree = `${old}^{tree}`;
    const amended = ["commit-tree", "-p", `${old}^`, "-m", subject, "-m", "Once more", tree];
    await this.dataset.run(["git", "update-ref", "HEAD", await this.dataset.git(...amended), old]);
    this.commands++;
  }

  async #git(...args: string[]): Promise<void> {
    await this.#run("git", ...args);
  }

  /** Runs a command, again while git says that another git command holds a lock. */
  async #run(...argv: string[]): Promise<void> {
    const started = performance.now();
    for (;;) {
      const { code, stdout, stderr } = await this.dataset.run(argv);
      this.commands++;
      if (code === 0) return;
      // git-annex says that it has added a file which the locked index did not take (10.20230126).
      const isMomentary = /\.lock|cannot lock ref|is at \w+ but expected|did not match any file/
        .test(stderr + stdout);
      if (!isMomentary || performance.now() - started > PATIENCE) {
        throw new Error(`${argv.join(" ")} of the user ended with ${code}: ${stderr}${stdout}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
