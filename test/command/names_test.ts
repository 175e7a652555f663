import { checkDataset, type Content, environmentOf } from "../support/checker.ts";
import { concurrently } from "../support/concurrently.ts";
import { type DatasetKind, TestDataset } from "../support/dataset.ts";
import { jobsAreOver, useCluster } from "../support/real_slurm.ts";

useCluster();

/** Names that shells, git, git-annex, Slurm or JSON might stumble over. */
const names: Readonly<Record<string, string>> = {
  "with spaces": " two  words ",
  "with quotes": `it's "quoted"`,
  "with a newline": "two\nlines",
  "with a leading dash": "-rf",
  "with Unicode": "Ümläut 😀 e\u0301",
  "with wildcards": "a*b?[c]",
  "with a backslash": "back\\slash\\n",
  "with pathspec magic": ":(top)x",
  "with a shell's letters": "$HOME `id` ; & | # ~ {x} %j",
};

const kinds: readonly DatasetKind[] = ["git", "annex"];

concurrently(
  false,
  Object.fromEntries(
    kinds.flatMap((kind) =>
      Object.entries({
        ...names,
        // git-annex makes longer names on its way, and cannot add such a file (10.20230126).
        "of many bytes": "ä".repeat(kind === "git" ? 127 : 110) + "x",
      }).map(([what, name]) => [
        `dataset, directory and file names ${what}: ${kind}`,
        async () => {
          // git-annex cannot start in a directory whose name has a newline (10.20230126).
          const plain = kind === "annex" && name.includes("\n");
          await using dataset = await TestDataset.make({ kind, name: plain ? "ds" : name });
          await dataset.write(`${name}/keep`, "keep\n");
          const base = await dataset.commit("Directory");
          const below = what.includes("bytes") ? "d" : `${name}.d`;
          const outputs = [`./${name}`, `./${below}`];
          const written = [`./${name}`, `./${below}/${name}`];
          const words = written.map((word) => word.replace(/[{}]/g, "$&$&"));
          const id = await dataset.schedule([
            ...outputs.flatMap((output) => ["-o", output]),
            ...["sbatch", "--output=/dev/null", "../write.sh", ...words],
          ], { in: name });
          await jobsAreOver([id]);
          await dataset.succeed(["finish"], { in: name });
          const files: Record<string, Content> = {
            [`${name}/${name}`]: `result of ./${name}\n`,
            [`${name}/${below}/${name}`]: `result of ./${below}/${name}\n`,
            [`${name}/slurm-job-${id}.env.json`]: environmentOf(id),
          };
          await checkDataset(dataset, { base, finished: { [id]: files } });
        },
      ])
    ),
  ),
);
