import type { AutoFinish } from "./auto_finish.ts";

/** A record but for what only the submission tells. */
export interface RecordTemplate {
  readonly chain: string[];
  readonly cmd: string | string[];
  readonly dsid?: string;
  readonly extra_inputs: string[];
  readonly inputs: string[];
  readonly outputs: string[];
  readonly pwd: string;
  /** The absolute directory outside the dataset that the job runs in. */
  readonly alt_dir?: string;
}

/** A job to be submitted, with everything checked that can be checked beforehand. */
export interface SubmissionRequest {
  readonly kind: "schedule" | "reschedule";
  readonly record: RecordTemplate;
  /** Where it goes when neither the environment nor the configuration chooses; Slurm when absent. */
  readonly slurm?: "local" | undefined;
  /** The command line for the shell, placeholders filled in. */
  readonly command: string;
  readonly message: string | undefined;
  readonly preparation: Preparation;
  /** Whether to wait for outputs that an open job holds, instead of refusing. */
  readonly waitForOutputs: boolean;
  /** Files of the dataset that the command itself names, such as the batch script. */
  readonly scripts: readonly string[];
  /** The tasks that the array will have, where that is known beforehand. */
  readonly tasks?: string | undefined;
  /** These tasks repeat those of a job before that did not complete. */
  readonly failedTasks?: string | undefined;
  /** What a line of a batch is known by, so that it is submitted once. */
  readonly batch?: string;
  /** How it is finished by a job of its own, where that is asked for. */
  readonly autoFinish?: AutoFinish | undefined;
}

/** How inputs and outputs are made ready before the command runs. */
export interface Preparation {
  /** What is taken to be ready as it is. */
  readonly assumeReady?: "inputs" | "outputs" | "both" | undefined;
  /** How many files are fetched at a time. */
  readonly transfers?: number | undefined;
}
