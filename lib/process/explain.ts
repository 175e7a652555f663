/** What a failure means to the reader, and what to do about it. */
export interface Explanation {
  /** Follows a colon; without a period. */
  readonly means: string;
  readonly hint: string;
}

/**
 * The failures of Slurm, git and git-annex that users meet most: the text by which each is known,
 * what it means, and what to do. `$1` stands for what the first brackets hold. The first that fits
 * counts. Texts are those of Slurm 22.05 to 25.11, git 2.30 to 2.50 and git-annex 10; recorded ones
 * are in `fixtures/messages`. Everything else is shown as it is. Not made before it is needed.
 */
const failures = (): readonly (readonly [RegExp, string, string])[] => [
  // sbatch
  [
    /invalid partition specified: (\S+)/i,
    'the cluster has no partition "$1"',
    "See the partitions with: sinfo -s",
  ],
  [/Invalid partition name specified/i, "there is no such partition", "See them with: sinfo -s"],
  [
    /Invalid account or account\/partition combination/i,
    "the account is not known, or may not use this partition",
    "See your accounts with: sacctmgr show associations user=$USER format=account,partition,qos",
  ],
  [
    /Invalid qos specification/i,
    "the quality of service (--qos) is not known, or not open to you",
    "See yours with: sacctmgr show associations user=$USER format=account,partition,qos",
  ],
  [
    /((?:QOS|Assoc)\w*Submit\w*Limit\w*)/,
    "you have as many jobs in the queue as you may ($1)",
    "Submit it again when some of them are over; see them with: squeue --me",
  ],
  [
    /Job violates accounting\/QOS policy/i,
    "a limit of your account or quality of service forbids this job",
    "See the limits with: sacctmgr show associations user=$USER",
  ],
  [
    /Requested time limit is invalid/i,
    "the partition does not allow this time limit",
    "See what it allows with: sinfo -o '%P %l'; ask for less with sbatch --time",
  ],
  [
    /Memory specification can not be satisfied/i,
    "no node of the partition has so much memory",
    "See what nodes have with: sinfo -o '%P %m'; ask for less with sbatch --mem",
  ],
  [
    /Requested node configuration is not available|Requested partition configuration not available/i,
    "no node of the partition has what the job asks for",
    "See what nodes have with: sinfo -o '%P %c %m %G'; ask for less, or name another partition",
  ],
  [
    /Invalid feature specification/i,
    "no node has the feature (--constraint) that the job asks for",
    "See what nodes have with: sinfo -o '%P %f'",
  ],
  [
    /Invalid generic resource/i,
    "the cluster has no such GPU or other generic resource",
    "See what there is with: sinfo -o '%P %G'",
  ],
  [
    /User's group not permitted to use this partition/i,
    "your group may not use this partition",
    "Name another one; see them with: sinfo -s",
  ],
  [
    /unable to accept job, sleeping and retrying|Resource temporarily unavailable.*submi|MaxJobCount/i,
    "the cluster takes no further jobs for now",
    "Submit it again later",
  ],
  [
    /Job dependency problem/i,
    "the job that it depends on is not known to Slurm any more, or never was",
    "Look at --dependency; finished jobs are forgotten after a while",
  ],
  [
    /Unable to open file (.+)/,
    "there is no batch script $1",
    "Paths in the command count from the current directory",
  ],
  [
    /This does not look like a batch script/,
    "the batch script does not begin with #! and an interpreter",
    "Let its first line be, for instance: #!/bin/sh",
  ],
  [
    /script contains DOS line breaks/i,
    "the batch script has the line ends of Windows",
    "Convert it with: dos2unix, or sed -i 's/\\r$//'",
  ],
  [
    /script is empty/i,
    "the batch script is empty",
    "The command gets no stdin: put the batch script into a file, or use sbatch --wrap",
  ],
  [
    /sbatch: .*not found/i,
    "there is no sbatch here",
    "Where there is no Slurm, `--slurm local` runs jobs on this machine",
  ],
  [/sbatch: unrecognized option '(.+)'/, "sbatch has no option $1", "See them with: sbatch --help"],
  [
    /No cluster '(.+)' known by database/,
    'there is no cluster "$1"',
    "See them with: sacctmgr list clusters",
  ],
  [
    /error: '(.+)' can't be reached now/,
    'the controller of cluster "$1" does not answer',
    "See which clusters can be reached, by their control host, with: sacctmgr list clusters",
  ],
  [
    /Could not establish a configuration source|s_p_parse_file: cannot stat file/,
    "Slurm is installed here, but it finds no configuration (slurm.conf)",
    "On a machine of a cluster, see: datalad-slurm doctor; anywhere else, `--slurm local` runs jobs on " +
    "this machine, to try things",
  ],
  [
    /Unable to contact slurm controller/i,
    "Slurm's controller does not answer",
    "See whether it is back with: scontrol ping; if it stays so, ask those who run the cluster",
  ],
  [
    /munge|Protocol authentication error/i,
    "Slurm's authentication (munge) does not work on this machine",
    "Use a login node of the cluster, or ask those who run it",
  ],
  // git and git-annex
  [
    /detected dubious ownership in repository at '(.+)'/,
    "the repository belongs to another user",
    "If you trust it, allow it with: git config --global --add safe.directory $1",
  ],
  [
    /not enough free space/i,
    "there is not enough free space for the content",
    "Free some space; what the annex may leave free says: git config annex.diskreserve",
  ],
  [
    /No space left on device|disk is full|ENOSPC/i,
    "the disk is full",
    "Free some space, and run the command again",
  ],
  [
    /Disk quota exceeded|EDQUOT/i,
    "your disk quota is used up",
    "Free some space, and run the command again",
  ],
  [
    /Read-only file system|EROFS/i,
    "the file system can only be read here",
    "Work where the dataset can be written to: perhaps on another node",
  ],
  [
    /Unable to create '(.+\.lock)': File exists/,
    "another git command is at work, or one was killed and has left its lock",
    "If no git command is at work, remove $1",
  ],
  [
    /gpg failed to sign|error: .*signing failed/i,
    "the commit could not be signed",
    "Make the signing key available, or set commit.gpgSign to false",
  ],
  [
    /inflate: data stream error|unable to unpack \w+ header|object \S+.* is (?:corrupt|empty)/,
    "the repository is damaged",
    "See how much with: git fsck; a fresh clone may have what is missing",
  ],
  [
    /repository is not initialized for use by git-annex|First run: git-annex init/i,
    "this clone has no annex yet",
    "Make it with: git annex init",
  ],
  [
    /Too many open files|EMFILE/,
    "more files are open than the system allows",
    "Allow more with: ulimit -n 4096",
  ],
  [
    /Permission denied|EACCES/,
    "something may not be read or written",
    "Look at the owner and mode of what is named",
  ],
];

/** Returns what a failing program's output, or an error of the system, means; undefined if unknown. */
export function explainFailure(output: string): Explanation | undefined {
  for (const [pattern, means, hint] of failures()) {
    const match = pattern.exec(output);
    if (match === null) continue;
    const filled = (text: string) => text.replace("$1", () => match[1] ?? "");
    return { means: filled(means), hint: filled(hint) };
  }
  return undefined;
}
