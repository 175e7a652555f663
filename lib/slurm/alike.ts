import { IndexSet } from "./array.ts";
import { larger, smaller } from "./extremes.ts";
import type { StateRow } from "./report.ts";

/** A row that stands for all tasks of which it says the same. */
interface SharedRow extends StateRow {
  readonly alike: number[];
  start: number | undefined;
  end: number | undefined;
}

/**
 * The rows that one program has given of one job. Tasks of an array whose rows say the same are kept
 * as one row, with the first of their starts and the last of their ends: an array takes as much memory
 * as it has kinds of rows, not as it has tasks.
 */
export class AlikeRows {
  readonly #jobId: string;
  /** A task that is named again has its next row in the next layer, so that each task's keep their order. */
  readonly #layers: { readonly named: IndexSet; readonly rows: Map<string, SharedRow> }[] = [];
  readonly #others: StateRow[] = [];

  constructor(jobId: string) {
    this.#jobId = jobId;
  }

  /** Takes the next row. */
  add(row: StateRow): void {
    const { jobId, task } = row.reference;
    // A task asked for by its own id is a job by itself.
    if (task === undefined || jobId !== this.#jobId) {
      this.#others.push(row);
      return;
    }
    const layer = this.#layerFor(task);
    layer.named.add(task);
    const key = wordsOf(row);
    const same = layer.rows.get(key);
    if (same === undefined) {
      layer.rows.set(key, { ...row, alike: [task] });
    } else {
      same.alike.push(task);
      same.start = smaller(same.start, row.start);
      same.end = larger(same.end, row.end);
    }
  }

  #layerFor(task: number) {
    const at = this.#layers.findLastIndex(({ named }) => named.has(task)) + 1;
    return this.#layers[at] ??= { named: new IndexSet(), rows: new Map() };
  }

  /** Returns all rows; of one task those that came later come later. */
  rows(): StateRow[] {
    return [...this.#layers.flatMap(({ rows }) => [...rows.values()]), ...this.#others];
  }
}

/** Returns what makes two rows alike: everything but the task and its times. */
function wordsOf(row: StateRow): string {
  const { state, exit, submit, reason, requeuedAfter, runaway, restarts } = row;
  return JSON.stringify([state.word, exit, submit, reason, requeuedAfter, runaway, restarts]);
}
