import { unlock } from "../commands/unlock.ts";
import { harmless } from "../record/show.ts";
import { describeHolder, type Holder, type LockState } from "../store/lock.ts";
import { type Command, DATASET } from "./command.ts";
import { EXIT } from "./exit.ts";
import { aboutDataset } from "./json/about.ts";
import type { HolderRecord } from "./json/records.ts";

export const unlockCommand: Command = {
  name: "unlock",
  aliases: [],
  summary: "Show who holds the repository lock, and break it on request",
  usage: "",
  description: [
    "Locks of commands that are proven dead are broken by whoever needs the lock next. Where that " +
    "cannot be proven, as after the loss of a node, look here who holds it and break it with " +
    "--force TOKEN once you know that the holder is dead. Should it live after all, it can " +
    "publish nothing any more, and begins again.",
  ],
  examples: [["datalad-slurm unlock", "show who holds the lock, and who waits"]],
  operands: "none",
  options: [
    DATASET,
    { name: "force", value: "TOKEN", help: "Break the lock that this token holds" },
  ],
  async run(words, terminal) {
    const { root, state, broken } = await unlock(words.last("dataset"), words.last("force"));
    const outcome = broken ?? (state.holder === undefined ? "free" : "held");
    if (terminal.json) {
      terminal.record({
        action: "unlock",
        status: broken === "gone" ? "impossible" : "ok",
        ...aboutDataset(root),
        message: MESSAGES[outcome],
        outcome,
        ...(state.holder === undefined ? {} : { holder: holderRecord(state.holder) }),
        queue: state.queue.map(holderRecord),
      });
    } else if (broken === undefined) {
      for (const line of describe(state)) terminal.result(harmless(line));
    } else if (broken === "gone") {
      terminal.error(MESSAGES.gone, [], "See the token of the holder with: datalad-slurm unlock");
    } else {
      terminal.result(MESSAGES[outcome]);
    }
    return broken === "gone" ? EXIT.refused : EXIT.done;
  },
};

const MESSAGES = {
  free: "Nobody holds the lock",
  held: "The lock is held",
  broken: "The lock was broken",
  gone: "Nobody holds the lock by that token",
} as const;

function describe({ holder, heartbeatAgeMs, queue }: LockState): string[] {
  const heartbeat = heartbeatAgeMs === undefined
    ? []
    : [`Last heartbeat: ${Math.round(heartbeatAgeMs / 1000)} s ago`];
  return [
    ...(holder === undefined
      ? [MESSAGES.free]
      : [`Held by ${describeHolder(holder)}`, `Token: ${holder.token}`, ...heartbeat]),
    ...queue.map((waiting) => `Waiting: ${describeHolder(waiting)}`),
  ];
}

function holderRecord({ token, phase, info, lastHeartbeat }: Holder): HolderRecord {
  return {
    token,
    phase,
    ...(info === undefined ? {} : {
      command: info.command,
      user: info.user,
      host: info.host,
      pid: info.pid,
      slurm_job_id: info.slurmJobId,
      since: info.since,
    }),
    last_heartbeat: lastHeartbeat?.toISOString(),
  };
}
