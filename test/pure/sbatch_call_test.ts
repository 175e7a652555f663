import assert from "node:assert/strict";
import { readSbatchCall } from "../../lib/slurm/sbatch_call.ts";

/** Returns a command line with another array, or why it is not read. */
function changed(command: string): string {
  const read = readSbatchCall(command);
  return "call" in read ? read.call.withArray("3,7%2") : `not read: ${read.obstacle}`;
}

const CHANGED: Readonly<Record<string, string>> = {
  "sbatch job.sh": "sbatch --array=3,7%2 job.sh",
  "sbatch job.sh --array=0-9 -a 1": "sbatch --array=3,7%2 job.sh --array=0-9 -a 1",
  "sbatch --array=0-9%2 job.sh 0-9%2": "sbatch --array=3,7%2 job.sh 0-9%2",
  "sbatch --array 0-9 job.sh": "sbatch --array 3,7%2 job.sh",
  "sbatch -a 0-9 -n4 job.sh {inputs}": "sbatch -a 3,7%2 -n4 job.sh {inputs}",
  "sbatch -Ha0-9 job.sh": "sbatch -Ha3,7%2 job.sh",
  "sbatch -a '0-9' job.sh": "sbatch -a 3,7%2 job.sh",
  'sbatch "--array=0-9" job.sh': "sbatch --array=3,7%2 job.sh",
  "sbatch --arr=[0-9] job.sh": "sbatch --arr=3,7%2 job.sh",
  "sbatch -a 1 --array=2 job.sh": "sbatch -a 1 --array=3,7%2 job.sh",
  "sbatch --hold --time 10 -p main job.sh a":
    "sbatch --hold --time 10 -p main --array=3,7%2 job.sh a",
  "sbatch --exclusive job.sh": "sbatch --exclusive --array=3,7%2 job.sh",
  "sbatch -- job.sh": "sbatch --array=3,7%2 -- job.sh",
  "A=1 B='x y' /opt/slurm/bin/sbatch job.sh":
    "A=1 B='x y' /opt/slurm/bin/sbatch --array=3,7%2 job.sh",
  "sbatch --wrap 'echo $SLURM_ARRAY_TASK_ID; ls'":
    "sbatch --wrap 'echo $SLURM_ARRAY_TASK_ID; ls' --array=3,7%2",
  'sbatch --job-name="$USER" job.sh "$HOME" $X':
    'sbatch --job-name="$USER" --array=3,7%2 job.sh "$HOME" $X',
  "sbatch  'a job.sh' ": "sbatch  --array=3,7%2 'a job.sh' ",
};

for (const [command, expected] of Object.entries(CHANGED)) {
  Deno.test(`an array is put into: ${command}`, () => assert.equal(changed(command), expected));
}

const REFUSED: Readonly<Record<string, RegExp>> = {
  "./submit.sh": /does not begin with sbatch/,
  "nice sbatch job.sh": /does not begin with sbatch/,
  "": /does not begin with sbatch/,
  "$SBATCH job.sh": /does not begin with sbatch/,
  "sbatch a.sh && sbatch b.sh": /"&" of the shell/,
  "sbatch job.sh; true": /";" of the shell/,
  "sbatch job.sh > log": /">" of the shell/,
  "sbatch $(ls *.sh)": /of the shell|puts something in/,
  "sbatch `ls`": /puts something in/,
  "sbatch $OPTIONS job.sh": /puts something in for "\$OPTIONS"/,
  "sbatch {inputs}": /puts something in for "\{inputs\}"/,
  "sbatch\njob.sh": /several lines/,
  "sbatch 'job.sh": /has no end/,
  "sbatch -n1 : -n2 job.sh": /heterogeneous/,
  "sbatch --hol job.sh": /"--hol" is not known/,
  "sbatch -Z job.sh": /"-Z" is not known/,
  "sbatch --hold": /names no script/,
  "sbatch -a": /"-a" has no value/,
  "sbatch -a $LIST job.sh": /no array/,
};

for (const [command, obstacle] of Object.entries(REFUSED)) {
  Deno.test(`no array is put into: ${command}`, () => {
    assert.match(changed(command), /^not read: /);
    assert.match(changed(command), obstacle);
  });
}

Deno.test("what was given with --array is told", () => {
  const read = readSbatchCall("sbatch -a 1 --array=0-9%2 job.sh");
  assert.equal("call" in read ? read.call.array : undefined, "0-9%2");
});

Deno.test("the batch script is told where it is known which file that is", () => {
  const scriptOf = (command: string) => {
    const read = readSbatchCall(command);
    return "call" in read ? read.call.script : undefined;
  };
  assert.equal(scriptOf("sbatch -p main --time 10 'a job.sh' --chdir=x"), "a job.sh");
  assert.equal(scriptOf("A=1 sbatch job.sh a.sh"), "job.sh");
  const unknown = [
    "-D x job.sh",
    "--chdir=x job.sh",
    "--wrap true",
    "- <job.sh",
    "*.sh",
    "$SCRIPT",
  ];
  for (const words of unknown) assert.equal(scriptOf(`sbatch ${words}`), undefined, words);
});
