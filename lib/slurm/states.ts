/** Where a job stands, as far as this tool has to tell. */
export type JobPhase = "pending" | "running" | "completed" | "failed" | "unknown";

/** One job state of Slurm's. */
export interface JobState {
  /** Slurm's word in capitals, without what follows it (`CANCELLED by 0` is `CANCELLED`). */
  readonly word: string;
  readonly phase: JobPhase;
  /** Whether Slurm may run the job again under the same id after this terminal state. */
  readonly mayBeRequeued: boolean;
}

const PHASES: Readonly<Record<JobPhase, readonly string[]>> = {
  pending: [
    "PENDING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
    "EXPEDITING", // 25.11
  ],
  running: [
    "RUNNING",
    "SUSPENDED",
    "CONFIGURING",
    "COMPLETING",
    "STAGE_OUT",
    "SIGNALING",
    "STOPPED",
    "RESIZING",
    "POWER_UP_NODE",
  ],
  completed: ["COMPLETED"],
  failed: [
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "NODE_FAIL",
    "BOOT_FAIL",
    "PREEMPTED",
    "LAUNCH_FAILED",
    "RECONFIG_FAIL",
  ],
  // A federation has moved the job to a sibling cluster, which alone knows its state.
  unknown: ["REVOKED"],
};

const PHASE_OF: ReadonlyMap<string, JobPhase> = new Map(
  Object.entries(PHASES).flatMap(([phase, words]) =>
    words.map((word) => [word, phase as JobPhase] as const)
  ),
);

const MAY_BE_REQUEUED: ReadonlySet<string> = new Set(["NODE_FAIL", "BOOT_FAIL", "PREEMPTED"]);

/** The state of a job that no program has given an answer for. */
export const UNKNOWN_STATE: JobState = { word: "UNKNOWN", phase: "unknown", mayBeRequeued: false };

/**
 * Returns what a state column of sacct, squeue or scontrol means; `COMPLETED`, `CANCELLED by 1000`
 * and the like are expected. A word that is not known, a truncated one (`CANCELLED+`, from sacct
 * without `-P`) included, has the phase "unknown" and keeps its spelling.
 */
export function classifyState(text: string): JobState {
  const word = text.trim().split(/\s/, 1)[0] ?? "";
  if (word === "") return UNKNOWN_STATE;
  return { word, phase: PHASE_OF.get(word) ?? "unknown", mayBeRequeued: MAY_BE_REQUEUED.has(word) };
}

/** Returns whether a phase is final. */
export function isOver(phase: JobPhase): boolean {
  return phase === "completed" || phase === "failed";
}

/** Returns whether a phase is that of a job which Slurm still has before it. */
export function isLive(phase: JobPhase): boolean {
  return phase === "pending" || phase === "running";
}
