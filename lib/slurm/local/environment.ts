import type { Context } from "./context.ts";
import { cpusOf, type Job, rawId, type Spec, tasksOf, WHOLE } from "./job.ts";

/** Returns the environment that a job takes along from its submission (`--export`). */
export function jobEnvironment(
  { environment, store }: Context,
  spec: Spec,
  exported: string | undefined,
): Record<string, string> {
  const own = environment;
  const list = exported === undefined ? ["ALL"] : splitList(exported);
  const takesAll = list.includes("ALL");
  const picked: Record<string, string> = {};
  for (const item of list) {
    const equals = item.indexOf("=");
    if (equals > 0) picked[item.slice(0, equals)] = item.slice(equals + 1);
    else if (own[item] !== undefined) picked[item] = own[item];
  }
  const base = takesAll ? own : {
    HOME: own["HOME"] ?? "/",
    USER: spec.user,
    LOGNAME: spec.user,
    SHELL: own["SHELL"] ?? "/bin/sh",
    PATH: `${store.bin}:/usr/local/bin:/usr/bin:/bin`,
    // So that jobs submitted from the job come to the same place.
    DATALAD_SLURM: "local",
    DATALAD_SLURM_LOCAL_DIR: store.directory,
    SLURM_GET_USER_ENV: "1",
  };
  return {
    ...base,
    ...picked,
    SLURM_SUBMIT_DIR: Deno.cwd(),
    ...(exported === undefined ? {} : { SLURM_EXPORT_ENV: exported }),
  };
}

/** Splits `A=5,B,C="1,2"` at commas outside of quotes. */
function splitList(text: string): string[] {
  return [...text.matchAll(/(?:[^,"']|"[^"]*"|'[^']*')+/g)].map(([item]) =>
    item.replace(/=(["'])(.*)\1$/s, "=$2")
  );
}

/** Returns the variables by which Slurm tells a batch script about its job. */
export function slurmVariables(
  job: Job,
  key: number,
  cluster: string,
  dependency: string | undefined,
): Record<string, string> {
  const { spec } = job;
  const id = String(rawId(job, key));
  const tasks = (spec.tasks ?? spec.tasksPerNode)?.toString();
  const cpus = String(cpusOf(spec));
  const variables: Record<string, string | undefined> = {
    ENVIRONMENT: "BATCH",
    HOSTNAME: spec.host,
    SLURMD_NODENAME: spec.host,
    SLURM_CLUSTER_NAME: cluster,
    SLURM_CPUS_ON_NODE: cpus,
    SLURM_CPUS_PER_TASK: spec.cpusPerTask?.toString(),
    SLURM_GTIDS: "0",
    SLURM_JOBID: id,
    SLURM_JOB_ACCOUNT: spec.account,
    SLURM_JOB_CPUS_PER_NODE: cpus,
    SLURM_JOB_DEPENDENCY: dependency,
    SLURM_JOB_GID: String(spec.gid),
    SLURM_JOB_ID: id,
    SLURM_JOB_NAME: spec.name,
    SLURM_JOB_NODELIST: spec.host,
    SLURM_JOB_NUM_NODES: "1",
    SLURM_JOB_PARTITION: spec.partition,
    SLURM_JOB_QOS: spec.qos,
    SLURM_JOB_UID: String(spec.uid),
    SLURM_JOB_USER: spec.user,
    SLURM_LOCALID: "0",
    SLURM_MEM_PER_CPU: spec.memory?.per === "cpu" ? mebibytes(spec.memory.amount) : undefined,
    SLURM_MEM_PER_NODE: spec.memory?.per === "node" ? mebibytes(spec.memory.amount) : undefined,
    SLURM_NNODES: "1",
    SLURM_NODEID: "0",
    SLURM_NODELIST: spec.host,
    SLURM_NODE_ALIASES: "(null)",
    SLURM_NPROCS: tasks,
    SLURM_NTASKS: tasks,
    SLURM_NTASKS_PER_NODE: spec.tasksPerNode?.toString(),
    SLURM_PRIO_PROCESS: "0",
    SLURM_PROCID: "0",
    SLURM_SUBMIT_HOST: spec.host,
    SLURM_TASKS_PER_NODE: String(tasksOf(spec)),
    SLURM_TOPOLOGY_ADDR: spec.host,
    SLURM_TOPOLOGY_ADDR_PATTERN: "node",
    ...(key === WHOLE ? {} : arrayVariables(spec, key, job.parts.size)),
  };
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]]
    ),
  );
}

function arrayVariables(spec: Spec, task: number, count: number): Record<string, string> {
  const ranges = spec.array?.ranges ?? [];
  return {
    SLURM_ARRAY_JOB_ID: String(spec.jobId),
    SLURM_ARRAY_TASK_ID: String(task),
    SLURM_ARRAY_TASK_COUNT: String(count),
    SLURM_ARRAY_TASK_MAX: String(Math.max(...ranges.map(({ last }) => last))),
    SLURM_ARRAY_TASK_MIN: String(Math.min(...ranges.map(({ first }) => first))),
    SLURM_ARRAY_TASK_STEP: String(ranges.length === 1 ? ranges[0]?.step ?? 1 : 1),
  };
}

const UNITS = "KMGT";

/** Returns an amount such as `4G` in mebibytes, which Slurm takes where no unit is given. */
export function mebibytes(amount: string): string {
  const unit = UNITS.indexOf(amount.slice(-1).toUpperCase());
  return String(Math.ceil(parseInt(amount, 10) * 1024 ** ((unit < 0 ? 1 : unit) - 1)));
}
