import type { Command } from "./command.ts";

/**
 * All commands by name, in the order of the help. Each is loaded when it is called: to read the
 * text of all of them would cost every start some milliseconds.
 */
const LOADERS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ["schedule", async () => (await import("./schedule.ts")).scheduleCommand],
  ["status", async () => (await import("./status.ts")).statusCommand],
  ["finish", async () => (await import("./finish.ts")).finishCommand],
  ["reschedule", async () => (await import("./reschedule.ts")).rescheduleCommand],
  ["log", async () => (await import("./log.ts")).logCommand],
  ["show", async () => (await import("./show.ts")).showCommand],
  ["recover", async () => (await import("./recover.ts")).recoverCommand],
  ["unlock", async () => (await import("./unlock.ts")).unlockCommand],
  ["schema", async () => (await import("./schema.ts")).schemaCommand],
  ["doctor", async () => (await import("./doctor.ts")).doctorCommand],
  ["completion", async () => (await import("./completion.ts")).completionCommand],
  ["complete", async () => (await import("./complete.ts")).completeCommand],
  ["lock-trial", async () => (await import("./lock_trial.ts")).lockTrialCommand],
]);

/** What stands before a command's name in its alias. */
const ALIAS_PREFIX = "slurm-";

/** Returns the command of a name or alias, or undefined when there is none. */
export async function findCommand(name: string): Promise<Command | undefined> {
  const own = name.startsWith(ALIAS_PREFIX) ? name.slice(ALIAS_PREFIX.length) : name;
  const command = await LOADERS.get(own)?.();
  return command !== undefined && [command.name, ...command.aliases].includes(name)
    ? command
    : undefined;
}

/** Returns all commands, in the order of the help. */
export async function allCommands(): Promise<readonly Command[]> {
  return await Promise.all([...LOADERS.values()].map((load) => load()));
}
