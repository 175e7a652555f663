import { unlock } from "../commands/unlock.ts";
import { harmless } from "../record/show.ts";
import { describeHolder } from "../store/lock.ts";
import { type Command, DATASET } from "./command.ts";
import { EXIT } from "./exit.ts";

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
    const { state, broken } = await unlock(words.last("dataset"), words.last("force"));
    if (broken !== undefined) {
      terminal.result(
        broken === "broken" ? "The lock was broken" : "No lock is held by that token",
      );
      return broken === "broken" ? EXIT.done : EXIT.refused;
    }
    if (state.holder === undefined) {
      terminal.result("Nobody holds the lock");
    } else {
      terminal.result(`Held by ${harmless(describeHolder(state.holder))}`);
      terminal.result(`Token: ${harmless(state.holder.token)}`);
      if (state.heartbeatAgeMs !== undefined) {
        terminal.result(`Last heartbeat: ${Math.round(state.heartbeatAgeMs / 1000)} s ago`);
      }
    }
    for (const waiting of state.queue) {
      terminal.result(`Waiting: ${harmless(describeHolder(waiting))}`);
    }
    return EXIT.done;
  },
};
