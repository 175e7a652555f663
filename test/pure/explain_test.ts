import assert from "node:assert/strict";
import { explainFailure } from "../../lib/process/explain.ts";
import { externalError } from "../../lib/process/run.ts";

const fixtures = new URL("../../fixtures/", import.meta.url);

/** Returns what a program said in a recorded sample, on stdout and stderr. */
function said(sample: string): string {
  const text = Deno.readTextFileSync(new URL(`${sample}.txt`, fixtures));
  return text.slice(text.indexOf("--stdout--"), text.lastIndexOf("--exit--"));
}

/** What recorded failures mean, and what the reader is told to do. */
const recorded: Record<string, [means: string, hint: RegExp]> = {
  "slurm/sbatch_badpart": ['the cluster has no partition "nosuch"', /sinfo -s/],
  "slurm/sbatch_ctld_down_22.05.8": ["Slurm's controller does not answer", /scontrol ping/],
  "messages/sbatch_not_configured": [
    "Slurm is installed here, but it finds no configuration (slurm.conf)",
    /datalad-slurm doctor; .*--slurm local/,
  ],
  "slurm/sbatch_noscript": ["there is no batch script nosuch.sh", /current directory/],
  "slurm/sbatch_noshebang": ["the batch script does not begin with #! and an interpreter", /#!/],
  "slurm/sbatch_badopt": ["sbatch has no option --nosuch", /sbatch --help/],
  "slurm/sbatch_cluster_bad": ['there is no cluster "nosuch"', /sacctmgr list clusters/],
  "messages/sbatch_account": [
    "the account is not known, or may not use this partition",
    /sacctmgr show associations/,
  ],
  "messages/sbatch_qos": [
    "the quality of service (--qos) is not known, or not open to you",
    /sacctmgr show associations/,
  ],
  "messages/sbatch_limit": [
    "you have as many jobs in the queue as you may (AssocMaxSubmitJobLimit)",
    /squeue --me/,
  ],
  "messages/sbatch_time": ["the partition does not allow this time limit", /--time/],
  "messages/sbatch_memory": ["no node of the partition has so much memory", /--mem/],
  "messages/sbatch_feature": [
    "no node has the feature (--constraint) that the job asks for",
    /sinfo/,
  ],
  "messages/sbatch_gres": ["the cluster has no such GPU or other generic resource", /%G/],
  "messages/sbatch_dos": ["the batch script has the line ends of Windows", /dos2unix/],
  "messages/sbatch_empty": ["the batch script is empty", /--wrap/],
  "messages/git_dubious": [
    "the repository belongs to another user",
    /safe\.directory \/data\/other$/,
  ],
  "messages/git_full": ["the disk is full", /Free some space/],
  "messages/git_index_lock": [
    "another git command is at work, or one was killed and has left its lock",
    /remove \/data\/repo\/\.git\/index\.lock$/,
  ],
  "messages/git_gpg": ["the commit could not be signed", /commit\.gpgSign/],
  "messages/git_corrupt": ["the repository is damaged", /git fsck/],
  "messages/annex_uninitialised": ["this clone has no annex yet", /git annex init/],
};

for (const [sample, [means, hint]] of Object.entries(recorded)) {
  Deno.test(`what a failing program says is explained: ${sample}`, () => {
    const explained = explainFailure(said(sample));
    assert.equal(explained?.means, means);
    assert.match(explained?.hint ?? "", hint);
    assert.doesNotMatch(explained?.hint ?? "", /\$1|\.$/);
  });
}

Deno.test("limits that Slurm names otherwise, and texts that cannot be produced here", () => {
  const texts: [string, RegExp][] = [
    ["sbatch: error: QOSMaxSubmitJobPerUserLimit\n", /as many jobs.*QOSMaxSubmitJobPerUserLimit/],
    [
      "sbatch: error: Batch job submission failed: User's group not permitted to use this " +
      "partition",
      /your group/,
    ],
    ["git-annex: not enough free space, need 3.2 GB more", /not enough free space/],
    ["fatal: cannot create directory at 'x': Disk quota exceeded", /quota/],
    ["error: could not lock config file .git/config: Read-only file system", /only be read/],
    ["error: insufficient permission for adding an object: Permission denied", /may not be/],
  ];
  for (const [text, means] of texts) assert.match(explainFailure(text)?.means ?? "", means);
});

Deno.test("what is not known is left as it is", () => {
  for (const text of ["", "fatal: something new", "Submitted batch job 12"]) {
    assert.equal(explainFailure(text), undefined);
  }
});

Deno.test("an error of a program keeps its words whole, below what they mean", () => {
  const result = {
    argv: ["git", "add", "a"],
    cwd: "/data",
    code: 128,
    signal: null,
    timedOut: false,
    stdout: new Uint8Array(),
    stderr: said("messages/git_full"),
  };
  const { message, hint, details } = externalError(result, "git add failed");
  assert.equal(message, "git add failed: the disk is full");
  assert.equal(hint, "Free some space, and run the command again");
  assert.match(details ?? "", /^git add a ended with exit code 128\nin "\/data"\n/);
  assert.match(details ?? "", /unable to write loose object file: No space left on device/);
  assert.equal(externalError(result, "git add failed", "Look there").hint, "Look there");
  const unknown = externalError({ ...result, stderr: "fatal: new" }, "git add failed");
  assert.deepEqual([unknown.message, unknown.hint], ["git add failed", undefined]);
});
