import { SQUEUE_COLUMNS, squeueArgv } from "../../lib/slurm/squeue.ts";
import { parseScontrolJobs } from "../../lib/slurm/scontrol.ts";
import { Accounts, type JobAccounting } from "../../lib/slurm/account.ts";
import {
  fromSession,
  fromSubmitLines,
  queueSearchArgv,
  SUBMIT_COLUMNS,
} from "../../lib/slurm/recover.ts";
import {
  ACCOUNTING_COLUMNS,
  sacctArgv,
  sacctSearchArgv,
  sacctStateRow,
  STATE_COLUMNS,
} from "../../lib/slurm/sacct.ts";
import { parseSubmissions, saysRefused, saysTestOnly } from "../../lib/slurm/submission.ts";
import { parseTable } from "../../lib/slurm/table.ts";
import { QUERY_ENVIRONMENT } from "../../lib/slurm/ask.ts";
import { until } from "../support/real_slurm.ts";
import type { Bench } from "./bench.ts";

/**
 * What users and this tool rely on, each as a function that tries it and returns what is seen. What
 * a real Slurm showed is kept in `fixtures/conformance.json`.
 */
export const BEHAVIOURS: Readonly<Record<string, (bench: Bench) => Promise<string[]>>> = {
  // It takes longest, and so comes first: the others run meanwhile.
  async "a job that passes its time limit is warned, stopped and told so"(bench) {
    // Nothing but the shell: it would tell of a child that the signal ends, where there is one just then.
    const loop = "exec 3<> <(:); while :; do read -t 0.1 -u 3; done";
    await bench.script("warned.sh", "trap 'echo warned' USR1", "touch warned", loop);
    await bench.script("stopped.sh", "trap 'echo stopped; exit 7' TERM", "touch stopped", loop);
    await bench.script("deaf.sh", "trap 'echo deaf' TERM", "touch deaf", loop);
    const submit = (name: string, ...words: string[]) =>
      bench.submit("-t1", "-o", `${name}.log`, ...words, `${name}.sh`);
    const names = ["warned", "stopped", "deaf"];
    const ids = [
      await submit("warned", "--signal=B:USR1@30"),
      await submit("stopped"),
      await submit("deaf"),
    ];
    await bench.wrote(...names);
    await bench.minuteIsOver(ids);
    await bench.over(...ids);
    return [
      ...await bench.queue("%i %T %t %r %l", ids),
      ...await bench.account("JobID,State,ExitCode,DerivedExitCode", ids),
      ...(await Promise.all(ids.map((id) => bench.fields(id, "JobState", "Reason", "ExitCode"))))
        .flat(),
      ...await Promise.all(
        names.map(async (name) => bench.plain(await bench.read(`${name}.log`) ?? "")),
      ),
    ];
  },

  async "sbatch takes and refuses command lines, with its exit codes"(bench) {
    await bench.script("ok.sh", "true");
    await bench.write("plain.txt", "no script\n");
    await bench.write("dos.sh", "#!/bin/sh\r\ntrue\r\n");
    await bench.write("empty.sh", "");
    await bench.script("parsable.sh", "#SBATCH --parsable", "true");
    await bench.script("quiet.sh", "#SBATCH --quiet", "true");
    await bench.script("wrong.sh", "#SBATCH --nosuch", "true");
    await bench.script("late.sh", "true", "#SBATCH --nosuch");
    const lines: [string[], Record<string, string>?][] = [
      [["-H", "ok.sh"]],
      [["-H", "--parsable", "ok.sh"]],
      [["-H", "parsable.sh"]],
      [["-H", "--quiet", "ok.sh"]],
      [["-H", "quiet.sh"]],
      [["-H", "--wrap", "true"]],
      [["-H", "--array=1-3", "ok.sh"]],
      [["-H", "late.sh"]],
      [["-H", "--arr=1", "ok.sh"]],
      [["-HJname", "ok.sh"]],
      [["-H", "--array=", "ok.sh"]],
      [["--nosuch", "ok.sh"]],
      [["--nosuch=3", "ok.sh"]],
      [["-Z", "ok.sh"]],
      [["--wrap"]],
      [["--hold=3", "ok.sh"]],
      [["--wrap=true", "ok.sh"]],
      [["wrong.sh"]],
      [["missing.sh"]],
      [["plain.txt"]],
      [["dos.sh"]],
      [["empty.sh"]],
      [["--time=abc", "ok.sh"]],
      [["--mem=abc", "ok.sh"]],
      [["-n", "abc", "ok.sh"]],
      [["--array=5-1", "ok.sh"]],
      [["--dependency=afterok:abc", "ok.sh"]],
      [["--dependency=nosuch:1", "ok.sh"]],
      [["--kill-on-invalid-dep=maybe", "ok.sh"]],
      [["-M", "nosuch", "ok.sh"]],
      [["missing.sh"], { SLURM_EXIT_ERROR: "77" }],
    ];
    const said = await Promise.all(lines.map(async ([words, env]) => {
      const { code, stdout, stderr } = await bench.run(
        ["sbatch", ...words],
        env === undefined ? {} : { env },
      );
      // The text after the first line is for people, and a cluster's name is its own.
      const first = bench.plain(stderr.split("\n")[0] ?? "").replace(/^sbatch: Job \d+ runs.*/, "");
      const { submissions, bare } = parseSubmissions(stdout);
      const id = submissions.at(-1)?.jobId;
      if (id !== undefined) bench.adopt(id);
      const form = stdout.trim().replace(/\d+/, "N");
      return `${words.join(" ")} => ${code} "${form}" ${bare ? "bare" : "plain"} ` +
        `${saysRefused(stderr) ? "refused " : ""}${first}`.trim();
    }));
    await bench.run(["scancel", "--me", "--state=PENDING", "--name=ok.sh"]);
    return said;
  },

  async "sbatch --test-only submits nothing, --version has a version"(bench) {
    await bench.script("ok.sh", "true");
    const { code, stdout, stderr } = await bench.run(["sbatch", "--test-only", "ok.sh"]);
    const version = await bench.run(["sbatch", "--version"]);
    return [
      `${code} ${JSON.stringify(stdout)} ${saysTestOnly(stderr)}`,
      `${version.code} ${/^slurm(-wlm)? \d+\.\d+/.test(version.stdout)}`,
    ];
  },

  async "the command line is stronger than the environment, and that than the script"(bench) {
    await bench.script(
      "job.sh",
      '#SBATCH --job-name "of the script" # a comment',
      "#SBATCH -o script-%j.out --comment='a  b'",
      "#SBATCH --time=10",
      "",
      "# still before the first command",
      "#SBATCH --cpus-per-task=2",
      "true",
      "#SBATCH --time=99",
    );
    const env = { SBATCH_JOB_NAME: "environment", SBATCH_OUTPUT: "environment-%j.out" };
    const one = await bench.submit("-H", "job.sh", "x", "y z");
    const two = await bench.submitWith(env, "-H", "-t", "1-02:03:04", "job.sh");
    const three = await bench.submitWith(
      env,
      "-H",
      "-J",
      "argv",
      "-o",
      "argv.out",
      "-c3",
      "-n2",
      "job.sh",
    );
    const names = [
      "JobId",
      "JobName",
      "TimeLimit",
      "Comment",
      "Command",
      "WorkDir",
      "StdOut",
      "StdErr",
      "NumCPUs",
      "NumTasks",
      "CPUs/Task",
    ];
    return (await Promise.all([one, two, three].map((id) => bench.fields(id, ...names)))).flat();
  },

  async "time limits are minutes, rounded up"(bench) {
    const limits = ["0:30", "5", "1:30", "1:00:01", "2-1", "infinite", "0"];
    const ids: string[] = [];
    for (const limit of limits) ids.push(await bench.submit("-H", "-t", limit, "--wrap=true"));
    return await bench.queue("%i %l", ids);
  },

  async "array specifications are read alike"(bench) {
    const specs = [
      "[1-3]",
      "1-3%0",
      "3",
      "1-3,",
      "01-03",
      "1,1,1-2",
      "1-3%2%1",
      "1-3%2,7",
      "0-6:3,1",
      "0,4,7-9,12,20%3",
    ];
    const ids: string[] = [];
    for (const spec of specs) ids.push(await bench.submit("-H", `--array=${spec}`, "--wrap=true"));
    const refused = await Promise.all(
      ["5-1", "1-5:0", "1 - 3", "-1", "a"].map((spec) =>
        bench.say(["sbatch", `--array=${spec}`, "--wrap=true"])
      ),
    );
    const shown = await Promise.all(
      ids.map((id) => bench.fields(id, "JobId", "ArrayJobId", "ArrayTaskId", "ArrayTaskThrottle")),
    );
    return [...await bench.queue("%i %F %K %T", ids), ...shown.flat(), ...refused.flat()];
  },

  async "array tasks run under their own ids, a few at a time, and end each for itself"(bench) {
    await bench.script(
      "task.sh",
      'echo "+" >> log',
      "sleep 0.4",
      'echo "-" >> log',
      "exit $((SLURM_ARRAY_TASK_ID % 3))",
    );
    const id = await bench.submit("--array=0-4%2", "task.sh");
    await bench.over(id);
    let [now, most] = [0, 0];
    for (const sign of (await bench.read("log") ?? "").trim().split("\n")) {
      now += sign === "+" ? 1 : -1;
      most = Math.max(most, now);
    }
    const { stdout } = await bench.run(["sacct", "-nXPj", id, "-o", "JobID,JobIDRaw"]);
    const raw = new Set(stdout.trim().split("\n").map((line) => line.split("|")[1]));
    return [
      `at most ${most} at a time`,
      `${raw.size} ids, the master's ${raw.has(id) ? "among them" : "not"}`,
      ...await bench.account("JobID,State,ExitCode", [id], "-X"),
      ...await bench.queue("%i %T %r", [id]),
      ...(await bench.fields(id, "ArrayJobId", "ArrayTaskId", "JobState", "ExitCode", "StdOut")),
      ...bench.files("task.sh", "log"),
    ];
  },

  async "tasks of an array are cancelled, held and released one by one"(bench) {
    const held = await bench.submit("-H", "--array=1-4", "--wrap=true");
    await bench.run(["scancel", `${held}_2`]);
    const before = await bench.queue("%i %T %r", [held]);
    const none = await bench.submit("-H", "--array=1-3", "--wrap=true");
    await bench.run(["scancel", none]);
    const some = await bench.submit("-H", "--array=1-4", "--wrap=true");
    await bench.run(["scancel", `${some}_[1-2]`]);
    await bench.run(["scontrol", "release", held]);
    await bench.over(held, none);
    return [
      ...before.filter(notDropped),
      ...(await bench.queue("%i %T", [held, none, some])).filter(notDropped),
      ...await bench.account("JobID,State,ExitCode", [none], "-X"),
    ];
  },

  async "several tasks of an array are held and released at once"(bench) {
    const held = await bench.submit("-H", "--array=1-5", "-o", "/dev/null", "--wrap=true");
    const later = await bench.submit("--begin=now+1hour", "--array=0-8%3", "--wrap=true");
    const said = [
      await bench.say(["scontrol", "release", `${held}_[1,3]`]),
      await bench.say(["scontrol", "hold", `${later}_[0-2,7],${held}_5`]),
      await bench.say(["scontrol", "release", `${later}_[1-2]`]),
      await bench.say(["scontrol", "hold", `${later}_[4,20]`]),
      await bench.say(["scontrol", "hold", `${later}_[20,21]`]),
    ];
    await bench.until([`${held}_1`, `${held}_3`], /COMPLETED/);
    // What was released has no reason until slurmctld looks at it again.
    await bench.until([1, 2, 3, 5, 6, 8].map((task) => `${later}_${task}`), /BeginTime/);
    const { stdout } = await bench.run(
      ["squeue", "-r", "-h", "-t", "all", "-o", "%i %T %r", "-j", `${held},${later}`],
    );
    return [
      ...said.flat(),
      // What root holds is another reason than what a user holds; the stand-in has users only.
      ...bench.plain(stdout).replaceAll("JobHeldAdmin", "JobHeldUser").split("\n")
        .filter((line) => line !== "").sort(),
    ];
  },

  async "jobs wait for others and start as these end"(bench) {
    const good = await bench.submit("--wrap=true");
    const bad = await bench.submit("--wrap=exit 3");
    const held = await bench.submit("-H", "--wrap=true");
    const on = async (dependency: string, ...more: string[]) =>
      await bench.submit(`--dependency=${dependency}`, ...more, "--wrap=true");
    const runs = [
      await on(`afterok:${good}`),
      await on(`afternotok:${bad}`),
      await on(`afterany:${good}:${bad}`),
      await on(`afterok:${bad}?afterok:${good}`),
      await on("afterok:999999999"),
      await on(`after:${good}`),
    ];
    const never = [await on(`afterok:${bad}`), await on(`afternotok:${good}`)];
    const killed = [await on(`afterok:${bad}`, "--kill-on-invalid-dep=yes")];
    const waits = [
      await on(`afterok:${held}`),
      await on(`after:${held}`, "--array=1-2"),
      await on(`afterok:${good},afterok:${held}`),
    ];
    await bench.over(good, bad, ...runs, ...killed);
    await bench.until(never, /DependencyNeverSatisfied/);
    await bench.until(waits, /Dependency/);
    return [
      ...await bench.queue("%i %T %r", [...runs, ...waits]),
      ...await bench.queue("%i %T %r %E", never),
      ...await bench.queue("%i %T", killed),
      ...await bench.fields(waits[0] ?? "", "JobState", "Reason", "Dependency"),
      ...await bench.fields(runs[0] ?? "", "JobState", "Reason", "Dependency"),
    ];
  },

  async "arrays wait task by task, and jobs of one name one after the other"(bench) {
    const array = await bench.submit("--array=1-2", "--wrap=exit $((SLURM_ARRAY_TASK_ID - 1))");
    const each = await bench.submit(
      "--array=1-2",
      `--dependency=aftercorr:${array}`,
      "--wrap=true",
    );
    const whole = await bench.submit(`--dependency=afterok:${array}`, "--wrap=true");
    const any = await bench.submit(`--dependency=afterany:${array}`, "--wrap=true");
    const first = await bench.submit("-J", "one", "-H", "--wrap=true");
    const second = await bench.submit("-J", "one", "-d", "singleton", "--wrap=true");
    const third = await bench.submit("-J", "other", "-d", "singleton", "--wrap=true");
    await bench.over(array, any, third);
    await bench.until([whole], /DependencyNeverSatisfied/);
    await bench.until([`${each}_1`], /COMPLETED/);
    return await bench.queue("%i %T %r", [`${each}_1`, whole, any, first, second, third]);
  },

  async "a job ends with its script's exit code or signal"(bench) {
    const ends = [
      "true",
      "exit 3",
      "exit 255",
      "kill -9 $$",
      "kill -TERM $$",
      "kill -USR1 $$",
      "nosuchcommand",
      // A shell says 126 where it may not look into a directory of PATH.
      "PATH=/usr/bin; exec nosuchcommand",
    ];
    const ids: string[] = [];
    for (const end of ends) ids.push(await bench.submit("-o", "/dev/null", `--wrap=${end}`));
    ids.push(await bench.submit("-o", "missing/log", "--wrap=true"));
    ids.push(await bench.submit("-e", "missing/log", "--wrap=true"));
    await bench.over(...ids);
    return [
      ...(await bench.account("JobID,State,ExitCode,DerivedExitCode", ids)).filter(notFrom128),
      ...await bench.queue("%i %T %t %r", ids),
      ...(await Promise.all(ids.map((id) => bench.fields(id, "JobId", "JobState", "ExitCode"))))
        .flat(),
      ...bench.files(),
    ];
  },

  async "log file names are expanded, and logs truncated or continued"(bench) {
    const pattern = "%x-%A-%a-%j-%5j-%u-%N-%n-%t-%s-%J-%%-%q.log";
    const ids = [
      await bench.submit("-J", "na me", "-o", pattern, "--wrap=echo out; echo err >&2"),
      await bench.submit(
        "--array=3,12",
        "-o",
        "%3a-%x-%A.log",
        "-e",
        "err-%a",
        "--wrap=echo $0 >&2",
      ),
      await bench.submit("-o", "a\\%j.log", "--wrap=echo hi"),
    ];
    await bench.write("old", "old\n");
    await bench.write("kept", "old\n");
    ids.push(await bench.submit("-o", "old", "--wrap=echo new"));
    ids.push(await bench.submit("-o", "kept", "--open-mode=append", "--wrap=echo new"));
    await bench.over(...ids);
    return [...bench.files(), await bench.read("old") ?? "", await bench.read("kept") ?? ""];
  },

  async "a batch script finds its job in the environment"(bench) {
    await bench.script(
      "env.sh",
      'env > "env-$1$SLURM_ARRAY_TASK_ID"',
      "pwd >> pwd",
      'echo "${0##*/} $#" >> zero',
    );
    const ids = [
      await bench.submit("-J", "a b", "-A", "acc", "env.sh", "plain", "x y"),
      await bench.submit("-n2", "-c2", "--ntasks-per-node=2", "--mem=1MB", "env.sh", "sized"),
      await bench.submit("--ntasks-per-node=2", "env.sh", "pernode"),
      await bench.submit("--array=3-7:2%5", "env.sh", "array"),
    ];
    await bench.over(...ids);
    const told: string[] = [];
    // The last task has the master's id.
    for (const name of ["plain", "sized", "pernode", "array7"]) {
      const lines = (await bench.read(`env-${name}`) ?? "").split("\n");
      for (const line of lines.filter((line) => /^(SLURM|ENVIRONMENT|HOSTNAME)/.test(line))) {
        if (ABSENT.test(line)) continue;
        told.push(`${name}: ${CHANCE.exec(line)?.[1] ?? bench.plain(line)}`);
      }
    }
    return [
      ...told.sort(),
      ...new Set((await bench.read("pwd") ?? "").split("\n").map((line) => bench.plain(line))),
      ...(await bench.read("zero") ?? "").trim().split("\n").sort(),
    ];
  },

  async "the environment of the submission comes along, or what --export names"(bench) {
    const env = { MINE: "1", OTHER: "2", "SPACE": "a b\nc" };
    const show = '--wrap=echo "${MINE-unset} ${OTHER-unset} ${SPACE-unset} ${SET-unset}"';
    const ids = [
      await bench.submitWith(env, "-o", "all", show),
      await bench.submitWith(env, "-o", "nil", "--export=NIL", show),
      await bench.submitWith(env, "-o", "more", "--export=ALL,SET=5", show),
    ];
    await bench.over(...ids);
    const names = ["all", "nil", "more"];
    return await Promise.all(names.map(async (name) => `${name}: ${await bench.read(name)}`));
  },

  async "jobs run in their directory, with their input, umask and arguments"(bench) {
    await Deno.mkdir(`${bench.directory}/below`);
    await bench.write("in.txt", "from a file\n");
    await bench.script("here.sh", "pwd", 'printf "<%s>" "$@"', "cat", "umask");
    const ids = [
      await bench.submit("-D", "below", "-o", "log", `${bench.directory}/here.sh`, "a b", "", "*"),
      await bench.submit("-i", "in.txt", "-o", "in.log", "here.sh"),
      await bench.submit("-D", "/nonexistent", "-o", `${bench.directory}/gone`, "--wrap=pwd"),
    ];
    const stdin = await bench.run(["sbatch", "--parsable", "-o", "piped", "-J", "piped"], {
      stdin: "#!/bin/sh\necho piped; cat\n",
    });
    const piped = /^\d+$/m.exec(stdin.stdout)?.[0] ?? "";
    bench.adopt(piped);
    await bench.over(...ids, piped);
    return [
      ...(await bench.fields(ids[0] ?? "", "WorkDir", "Command", "StdOut", "StdIn")),
      ...(await bench.fields(ids[1] ?? "", "StdIn")),
      bench.plain(await bench.read("below/log") ?? ""),
      bench.plain(await bench.read("in.log") ?? ""),
      (await bench.read("gone") ?? "").split("\n").at(-2) ?? "",
      await bench.read("piped") ?? "",
    ];
  },

  async "held jobs are released, pending and running ones cancelled"(bench) {
    await bench.script(
      "trap.sh",
      "trap 'echo term; exit 3' TERM",
      "sleep 60 &",
      "touch trapping",
      "wait",
    );
    const trapping = await bench.submit("-o", "log", "trap.sh");
    const running = await bench.submit("-o", "/dev/null", "--wrap=touch running; exec sleep 60");
    const held = await bench.submit("-H", "--wrap=true");
    const pending = await bench.submit("-H", "--wrap=true");
    const named = await bench.submit("-H", "-J", `n${held}`, "--wrap=true");
    await bench.until([trapping, running], /RUNNING/);
    const before = await bench.queue("%i %T %t %r", [trapping, held]);
    const shown = await bench.fields(held, "JobState", "Reason", "Priority", "EligibleTime");
    await bench.wrote("trapping", "running");
    const cancel = await bench.say(["scancel", trapping, running, pending]);
    const byName = await bench.say(["scancel", "-n", `n${held}`]);
    const release = await bench.say(["scontrol", "release", held]);
    await bench.over(trapping, running, pending, named, held);
    return [
      ...before,
      ...shown,
      ...cancel,
      ...byName,
      ...release,
      ...await bench.queue("%i %T %r", [trapping, running, pending, named, held]),
      ...await bench.account("JobID,State,ExitCode", [trapping, running, pending, held]),
      ...(await bench.fields(running, "JobState", "ExitCode")),
      ...(await bench.fields(pending, "JobState", "ExitCode", "StartTime")),
      bench.plain(await bench.read("log") ?? ""),
    ];
  },

  async "a signal for the batch script reaches it alone"(bench) {
    await bench.script(
      "signal.sh",
      "trap 'echo script; kill $!; exit 0' USR1",
      "sleep 300 &",
      "touch trapping",
      "wait $!",
      "wait",
    );
    const signal = await bench.submit("-o", "signal.log", "signal.sh");
    await bench.wrote("trapping");
    const said = await bench.say(["scancel", "-b", "-s", "USR1", signal]);
    await bench.over(signal);
    return [
      ...said,
      ...await bench.account("JobID,State,ExitCode", [signal], "-X"),
      await bench.read("signal.log") ?? "",
    ];
  },

  async "sbatch --wait ends with the job's exit code, once it has named it"(bench) {
    await bench.script("wait.sh", "#SBATCH --wait", "exit 3");
    const [plain, directive, array] = await Promise.all([
      bench.run(["sbatch", "--wait", "--wrap=exit 7"]),
      bench.run(["sbatch", "wait.sh"]),
      bench.run(["sbatch", "-W", "--array=1-3", "--wrap=exit $SLURM_ARRAY_TASK_ID"]),
    ]);
    return [plain, directive, array].map(({ code, stdout }) =>
      `${code} ${stdout.trim().replace(/\d+/, "N")}`
    );
  },

  async "a job submits jobs"(bench) {
    await bench.script("inner.sh", 'echo "inner ${SLURM_ARRAY_TASK_ID-no task} $SLURM_JOB_NAME"');
    await bench.script("outer.sh", "sbatch --parsable --wait -o inner.log inner.sh > id");
    const outer = await bench.submit("--array=4", "-o", "/dev/null", "outer.sh");
    await bench.over(outer);
    return [
      /^\d+$/m.test(await bench.read("id") ?? "") ? "submitted" : "not submitted",
      await bench.read("inner.log") ?? "no log",
    ];
  },

  async "who asks for what is not there is told so"(bench) {
    const one = "999999999";
    const task = await bench.submit("-H", "--array=1-2", "--wrap=true");
    const asked = [
      ["squeue", "-j", one],
      ["squeue", "-j", `${one},999999998`],
      ["squeue", "-h", "-j", `${one},${task}`, "-o", "%i|%T"],
      ["squeue", "-h", "-j", `${task}_7`, "-o", "%i"],
      ["squeue", "-j", "abc"],
      ["squeue", "--nosuch"],
      ["sacct", "-X", "-P", "-j", one, "-o", "JobID,State"],
      ["sacct", "-X", "-P", "-j", "abc", "-o", "JobID,State"],
      ["sacct", "-X", "-P", "-j", `${one},abc`, "-o", "JobID,State"],
      ["sacct", "-P", "-o", "JobID,Nosuch", "-j", one],
      ["sacct", "-j", `${task}_[1-2]`],
      ["sacct", "--nosuch"],
      ["sacct", "-s", "bogus"],
      ["scontrol", "show", "job", one],
      ["scontrol", "show", "job", "abc"],
      ["scontrol", "show", "job", `${one},${task}`],
      ["scontrol", "show", "job", `${task}_77`],
      ["scontrol", "hold", one],
      ["scontrol", "release", "abc"],
      ["scontrol", "nosuch"],
      ["scontrol", "show", "nosuch"],
      ["scancel", one],
      ["scancel", "-v", one],
      ["scancel", "abc"],
      ["scancel"],
      ["scancel", "--nosuch"],
      ["scancel", `${task}_77`],
    ];
    const said = await Promise.all(asked.map((argv) => bench.say(argv)));
    return said.flatMap((lines, at) => [`$ ${bench.plain(asked[at]?.join(" ") ?? "")}`, ...lines]);
  },

  async "this tool reads the same out of all three programs"(bench) {
    const ids = [
      await bench.submit("--array=0-2", "--wrap=exit $((SLURM_ARRAY_TASK_ID % 2))"),
      await bench.submit("--wrap=true"),
      await bench.submit("-H", "--array=1-3%2", "-o", "%A-%a", "--wrap=true"),
      await bench.submit(
        "-H",
        "-J",
        "x\ny|z",
        "--comment",
        "JobState=FAKE Reason=None",
        "--wrap=true",
      ),
    ];
    const [array = "", plain = ""] = ids;
    await bench.over(array, plain);
    const env = queryEnvironment();
    const sacct = await bench.run(
      sacctArgv({ jobIds: [array, plain], columns: STATE_COLUMNS, earlierRuns: true }),
      { env },
    );
    const squeue = await bench.run(squeueArgv(ids), { env });
    const scontrol = await bench.run(["scontrol"], {
      env,
      stdin: ids.map((id) => `show job ${id}\n`).join("") + "quit\n",
    });
    const near = (seconds: number | undefined) =>
      seconds === undefined ? "-" : Math.abs(seconds - Date.now() / 1000) < 600 ? "now" : "other";
    return [
      ...parseTable(sacct.stdout, STATE_COLUMNS).flatMap((row) => sacctStateRow(row) ?? [])
        .map(({ reference, state, exit, submit, start, end }) =>
          bench.plain(
            `sacct ${JSON.stringify(reference)} ${state.word} ${exit?.code}:${exit?.signal} ` +
              [submit, start, end].map(near).join(" "),
          )
        ).sort(),
      ...parseTable(squeue.stdout, SQUEUE_COLUMNS).map((row) =>
        bench.plain(`squeue ${row["JobID"]} ${row["State"]} ${row["Reason"]}`)
      ).sort(),
      ...parseScontrolJobs(scontrol.stdout).map((job) =>
        bench.plain(
          `scontrol ${JSON.stringify(job.reference)} ${job.state} ${job.reason ?? "-"} ` +
            `${JSON.stringify(job.jobName)} ${job.workDir} ${job.stdOut} ` +
            `${job.exit?.code}:${job.exit?.signal} ` +
            [job.submit, job.start, job.end].map(near).join(" "),
        )
      ).sort(),
    ];
  },

  async "this tool reads the same accounting"(bench) {
    const submit = (...words: string[]) =>
      bench.submit("-t7", "--mem=1M", "-o", "/dev/null", ...words);
    const ids = [
      await submit("-n2", "--wrap=true"),
      await submit("--wrap=exit 3"),
      await submit("--wrap=kill -KILL $$"),
      await submit("--array=1-3", "--wrap=exit $((SLURM_ARRAY_TASK_ID - 1))"),
    ];
    await bench.over(...ids);
    let accounts = new Map<string, JobAccounting>();
    // slurmdbd may have the end of a job before all of its beginning.
    await until("accounting has all of the jobs", async () => {
      const { stdout } = await bench.run(
        sacctArgv({ jobIds: ids, columns: ACCOUNTING_COLUMNS, steps: true }),
        { env: queryEnvironment() },
      );
      const reader = new Accounts(new Set(ids));
      for (const row of parseTable(stdout, ACCOUNTING_COLUMNS)) reader.add(row);
      accounts = reader.result();
      return ids.every((id) => accounts.get(id)?.requested_cpus !== undefined);
    });
    // What depends on the machine, and on the moment, is told by whether it is there.
    const stable = /state|exit|signal|limit|_cpus|requested|nodes|task/;
    return ids.map((id) => {
      const entries = Object.entries(accounts.get(id) ?? {}).map(([name, value]) => {
        const shown = name === "tasks"
          ? (value as string[]).map((line) => line.split(" ").slice(2, 4).join(" "))
          : value;
        return stable.test(name) ? `${name} ${JSON.stringify(shown)}` : name;
      });
      // Slurm looks at the memory of processes every so many seconds.
      const sure = entries.filter((entry) => !/_rss_/.test(entry));
      return `${bench.plain(id)}: ${sure.sort().join(", ")}`;
    });
  },

  async "this tool finds a submission again by its session and its words"(bench) {
    const token = crypto.randomUUID();
    const ids = [
      await bench.submit("-o", "/dev/null", `--wrap=: ${token}\ntrue`),
      await bench.submit("--array=0-1", "-o", "/dev/null", `--wrap=: ${token}`),
      await bench.submit("-o", "/dev/null", "--wrap=true"),
    ];
    await bench.over(...ids);
    const env = queryEnvironment();
    const since = Date.now() / 1000 - 600;
    let accounting = "";
    // A submit line comes some seconds late.
    await until("accounting has the submit line", async () => {
      accounting = (await bench.run(sacctSearchArgv(SUBMIT_COLUMNS, 600), { env })).stdout;
      return fromSubmitLines(accounting, token, since).length === 2;
    });
    const queue = await bench.run(queueSearchArgv(), { env });
    const [, , sid = ""] = queue.stdout.split("\n").map((line) => line.trim().split(/\s+/))
      .find(([id]) => id === ids[0]) ?? [];
    return [
      ...fromSubmitLines(accounting, token, since)
        .map(({ jobId }) => `sacct ${bench.plain(jobId)}`),
      ...fromSession(queue.stdout, Number(sid), since)
        .filter(({ jobId }) => ids.includes(jobId))
        .map(({ jobId, isRefused }) => `squeue ${bench.plain(jobId)} ${isRefused}`),
    ].sort();
  },

  async "a batch script lists the nodes of its job"(bench) {
    const id = await bench.submit(
      "-o",
      "nodes",
      '--wrap=[ "$(scontrol show hostnames)" = "$SLURM_JOB_NODELIST" ] && echo same; ' +
        "scontrol show hostnames 'a[1-2,08-10],b'",
    );
    await bench.over(id);
    const outside = await bench.run(["scontrol", "show", "hostname", "n[3-4]"]);
    const none = await bench.run(["scontrol", "show", "hostnames"]);
    return [
      bench.plain(await bench.read("nodes") ?? ""),
      outside.stdout,
      `${none.code} ${none.stdout}${none.stderr}`,
    ];
  },
};

/** The variables that this tool pins when it asks. */
function queryEnvironment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(QUERY_ENVIRONMENT).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]]
    ),
  );
}

/** What the cluster, this machine and its user are called. */
const CHANCE =
  /^(SLURM_(?:CLUSTER_NAME|JOB_PARTITION|JOB_UID|JOB_USER|JOB_GID|JOB_ACCOUNT|SUBMIT_HOST))=/;

/** The stand-in has no configuration and no other cluster, and does not tell of processes. */
const ABSENT = /^SLURM_(?:CONF|TASK_PID|WORKING_CLUSTER)=/;

/** Slurm forgets a task that is cancelled before it starts (22.05); the stand-in does not. */
function notDropped(line: string): boolean {
  return !/^J\d_\d CANCELLED/.test(line);
}

/** sacct before 25.11 shows `exit 255` without its highest bit. */
function notFrom128(line: string): boolean {
  return !/\|(?:127|255):0\|/.test(line);
}
