/** What distinguishes one test cluster on a machine from another. */
export interface ClusterSettings {
  /** The cluster's name in Slurm's accounting. */
  readonly name: string;
  /** The directory that holds everything the cluster writes. */
  readonly dir: string;
  /** The directory of the munged that it uses, and the port of the slurmdbd. */
  readonly servicesDir: string;
  readonly slurmdbdPort: number;
  /** The host name without its domain, which slurmctld and slurmdbd compare with their own. */
  readonly host: string;
  /** Whether that host name resolves to a loopback address, so that daemons can bind to it. */
  readonly loopbackHost: boolean;
  /** Free TCP ports in a row: slurmctld, slurmdbd, then one for each node. */
  readonly firstPort: number;
  /** The node names; each is a slurmd of its own on this machine. */
  readonly nodes: readonly string[];
  /** What each node pretends to have, in MB; undefined leaves it to Slurm. */
  readonly memoryPerNode?: number;
  /** Lines of `slurm.conf` that this cluster alone has; they count instead of others of the name. */
  readonly lines: readonly string[];
}

/** The cluster's name in Slurm's accounting, and that of the one that may be started beside it. */
export const clusterName = "test";
export const secondName = "other";

/** The names of the cluster's nodes, and of the only one of the second cluster. */
export const nodeNames: readonly `n${number}`[] = ["n1", "n2", "n3", "n4"];
export const secondNode = "m1";

/** How many TCP ports in a row a cluster occupies. */
export const portCount = 2 + nodeNames.length;

/** Pretended, so that hundreds of small jobs run at the same time on a machine with few cores. */
const cpusPerNode = 64;

/** Returns the directory of the cluster beside the one in a directory. */
export function secondDir(dir: string): string {
  return `${dir}/${secondName}`;
}

/** Returns the path that clients need in `SLURM_CONF`. */
export function slurmConfPath(dir: string): string {
  return `${dir}/slurm.conf`;
}

/** Returns the text of `slurm.conf` (read by 22.05 and newer). */
export function slurmConf(settings: ClusterSettings): string {
  const { dir, servicesDir, host, loopbackHost, firstPort } = settings;
  const lines = [
    `ClusterName=${settings.name}`,
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${firstPort}`,
    // Without these the daemons listen on every interface.
    ...(loopbackHost ? ["CommunicationParameters=NoInAddrAny,NoCtldInAddrAny"] : []),
    "AuthType=auth/munge",
    `AuthInfo=socket=${servicesDir}/munge/socket`,
    "SlurmUser=root",
    "SlurmdUser=root",
    `StateSaveLocation=${dir}/state`,
    `SlurmdSpoolDir=${dir}/spool/%n`,
    `SlurmctldPidFile=${dir}/slurmctld.pid`,
    `SlurmdPidFile=${dir}/slurmd-%n.pid`,
    `SlurmctldLogFile=${dir}/log/slurmctld.log`,
    `SlurmdLogFile=${dir}/log/slurmd-%n.log`,
    // There is no cgroup hierarchy of our own to manage in a container.
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "MpiDefault=none",
    "PropagateResourceLimits=NONE",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    "SlurmdParameters=config_overrides",
    // Each job is considered when it arrives and when another ends, and not some seconds later.
    "SchedulerType=sched/backfill",
    "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1",
    // An id such as 15 would be taken for a part of an exit code, 0:15.
    "FirstJobId=1001",
    "MaxArraySize=20001",
    "MaxJobCount=60000",
    "MinJobAge=300",
    "KillWait=5",
    "MessageTimeout=60",
    "ReturnToService=2",
    "JobAcctGatherType=jobacct_gather/linux",
    "AccountingStorageType=accounting_storage/slurmdbd",
    "AccountingStorageHost=127.0.0.1",
    `AccountingStoragePort=${settings.slurmdbdPort}`,
    // Clients of slurmdbd find munged through the "password" and not through AuthInfo (22.05).
    `AccountingStoragePass=${servicesDir}/munge/socket`,
    "AccountingStoreFlags=job_comment",
    ...settings.nodes.map((name, index) =>
      `NodeName=${name} NodeHostname=localhost NodeAddr=127.0.0.1 Port=${firstPort + 2 + index}` +
      ` Sockets=1 CoresPerSocket=${cpusPerNode} ThreadsPerCore=1 State=UNKNOWN` +
      (settings.memoryPerNode === undefined ? "" : ` RealMemory=${settings.memoryPerNode}`)
    ),
    "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
  ];
  const nameIn = (line: string) => line.slice(0, line.indexOf("="));
  const own = new Set(settings.lines.map(nameIn).filter((name) => name !== "PartitionName"));
  return [...lines.filter((line) => !own.has(nameIn(line))), ...settings.lines].join("\n") + "\n";
}

/** What the first cluster has besides: jobs of the last partition take the nodes of the others. */
export const preemptionLines: readonly string[] = [
  "PreemptType=preempt/partition_prio",
  "PreemptMode=REQUEUE",
  "PartitionName=requeued Nodes=n1 PriorityTier=1 PreemptMode=REQUEUE State=UP",
  "PartitionName=cancelled Nodes=n2 PriorityTier=1 PreemptMode=CANCEL State=UP",
  "PartitionName=urgent Nodes=n1,n2 PriorityTier=2 PreemptMode=OFF State=UP",
];

/**
 * Returns what the second cluster has besides: memory is asked for and looked at each second, and
 * with control groups kept to. Its partition `elsewhere` is one that the first cluster does not have.
 */
export function memoryLines(limitsMemory: boolean): string[] {
  return [
    "SelectTypeParameters=CR_Core_Memory",
    "DefMemPerCPU=1000",
    "JobAcctGatherFrequency=1",
    ...(limitsMemory ? ["TaskPlugin=task/cgroup"] : []),
    `PartitionName=elsewhere Nodes=${secondNode} State=UP`,
  ];
}

/** Returns the text of a `cgroup.conf` by which a job gets no more memory than it has asked for. */
export function memoryCgroupConf(mountPoint: string): string {
  return [
    "CgroupPlugin=cgroup/v1",
    `CgroupMountpoint=${mountPoint}`,
    "ConstrainRAMSpace=yes",
    "ConstrainSwapSpace=yes",
    "",
  ].join("\n");
}

/** Returns the text of `slurmdbd.conf`, a file that slurmdbd accepts with mode 600 only. */
export function slurmdbdConf(
  { dir, host, loopbackHost, slurmdbdPort }: ClusterSettings,
): string {
  const lines = [
    ...(loopbackHost ? ["CommunicationParameters=NoInAddrAny"] : []),
    "AuthType=auth/munge",
    `AuthInfo=socket=${dir}/munge/socket`,
    `DbdHost=${host}`,
    "DbdAddr=127.0.0.1",
    `DbdPort=${slurmdbdPort}`,
    "SlurmUser=root",
    `LogFile=${dir}/log/slurmdbd.log`,
    `PidFile=${dir}/slurmdbd.pid`,
    "StorageType=accounting_storage/mysql",
    // MYSQL_UNIX_PORT names the socket; root is let in by its user id.
    "StorageHost=localhost",
    "StorageUser=root",
    `StorageLoc=${database}`,
  ];
  return lines.join("\n") + "\n";
}

/**
 * Returns the text of `cgroup.conf` for one Slurm version (such as `22.05.8`), or undefined where
 * none is wanted: 23.11 and newer look at the cgroup file system unless they are told not to, and
 * older ones do not know the word.
 */
export function cgroupConf(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 11) ? "CgroupPlugin=disabled\n" : undefined;
}

/** Returns the argv of the database server, which listens on a socket alone. */
export function mariadbdArgv(dir: string): string[] {
  return [
    "mariadbd",
    "--no-defaults",
    "--user=root",
    `--datadir=${dir}/mysql`,
    `--socket=${mariadbSocket(dir)}`,
    `--pid-file=${dir}/mariadbd.pid`,
    `--log-error=${dir}/log/mariadbd.log`,
    "--skip-networking",
    "--performance-schema=OFF",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=32M",
    "--innodb-lock-wait-timeout=900",
    // The data lives as long as the cluster: nothing is gained by waiting for the disk.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
  ];
}

const database = "slurm_acct";

/** Returns the argv that creates the accounting's database. */
export function createDatabaseArgv(dir: string): string[] {
  const statement = `create database if not exists ${database}`;
  return ["mariadb", "--no-defaults", `--socket=${mariadbSocket(dir)}`, `--execute=${statement}`];
}

/** Returns the path of the database server's socket. */
export function mariadbSocket(dir: string): string {
  return `${dir}/mysql.sock`;
}

/** Returns the argv of the authentication daemon. */
export function mungedArgv(dir: string): string[] {
  return [
    "munged",
    "--foreground",
    `--socket=${dir}/munge/socket`,
    `--key-file=${dir}/munge/key`,
    `--pid-file=${dir}/munge/pid`,
    `--seed-file=${dir}/munge/seed`,
    `--log-file=${dir}/log/munged.log`,
    "--num-threads=10",
  ];
}
