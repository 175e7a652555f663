/**
 * Returns a record with the forms of the DataLad extension turned into the present one: a numeric
 * `slurm_job_id` and `slurm_outputs` (0.2.5), `null` where there is no dataset id, lists left out.
 * Nothing is validated here, and no other key is touched.
 */
export function upgradeOlderForm(value: object): Record<string, unknown> {
  const { slurm_outputs, ...record }: Record<string, unknown> = { ...value };
  if (slurm_outputs !== undefined) record["slurm_run_outputs"] ??= slurm_outputs;
  if (typeof record["slurm_job_id"] === "number") {
    record["slurm_job_id"] = String(record["slurm_job_id"]);
  }
  if (record["dsid"] === null) delete record["dsid"];
  for (const list of ["chain", "extra_inputs", "inputs", "outputs"]) record[list] ??= [];
  return record;
}
