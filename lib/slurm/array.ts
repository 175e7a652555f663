/** Task indices first, first + step, … up to last at most. */
export interface IndexRange {
  readonly first: number;
  readonly last: number;
  readonly step: number;
}

/** What `sbatch --array` was given: ascending ranges that share no index, and the throttle. */
export interface ArraySpec {
  readonly ranges: readonly IndexRange[];
  /** How many tasks may run at a time (`%3`); absent without a limit. */
  readonly throttle?: number;
}

/** The highest index that Slurm can be configured for (MaxArraySize is at most 4000001). */
const HIGHEST_INDEX = 4_000_000;

const TOKEN = /^\[?\s*(\d+)\]?(?:-(\d+)\]?(?::(\d+)\]?)?)?(?:%.*)?$/;

/**
 * Returns what an array specification such as `0,4,7-9:2,20%3` stands for, with or without
 * brackets, or undefined where Slurm 22.05 refuses it (`5-1`, `1-5:0`, `-1`, `1 - 3`), where Slurm
 * has cut it (`6,8,13...`), and for an empty one, which sbatch takes as no array at all. The
 * cluster's own MaxArraySize is not known here.
 */
export function parseArraySpec(text: string): ArraySpec | undefined {
  const ranges: IndexRange[] = [];
  for (const token of text.split(",")) {
    if (token === "") continue;
    const range = parseToken(token);
    if (range === undefined) return undefined;
    ranges.push(range);
  }
  if (ranges.length === 0) return undefined;
  // Slurm reads the number behind the first percent sign; 0 is no limit.
  const throttle = Number(/%(\d+)/.exec(text)?.[1] ?? 0);
  const disjoint = makeDisjoint(ranges);
  return throttle > 0 ? { ranges: disjoint, throttle } : { ranges: disjoint };
}

function parseToken(token: string): IndexRange | undefined {
  const match = TOKEN.exec(token);
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  const step = match[3] === undefined ? 1 : Number(match[3]);
  if (last < first || step < 1 || last > HIGHEST_INDEX) return undefined;
  return { first, last: last - (last - first) % step, step };
}

function makeDisjoint(ranges: readonly IndexRange[]): readonly IndexRange[] {
  const sorted = [...ranges].sort((a, b) => a.first - b.first);
  const overlaps = sorted.some((range, at) => {
    const next = sorted[at + 1];
    return next !== undefined && next.first <= range.last;
  });
  return overlaps ? new IndexSet(sorted).ranges() : sorted;
}

/** Yields every index of some ranges in their order. */
export function* indices(ranges: readonly IndexRange[]): Generator<number> {
  for (const { first, last, step } of ranges) {
    for (let index = first; index <= last; index += step) yield index;
  }
}

/** Returns how many indices some ranges hold. */
export function countIndices(ranges: readonly IndexRange[]): number {
  return ranges.reduce(
    (sum, { first, last, step }) => sum + Math.floor((last - first) / step) + 1,
    0,
  );
}

/** Returns distinct indices, in whatever order they come, as ascending ranges of step 1. */
export function toRanges(distinct: Iterable<number>): IndexRange[] {
  return ascendingRanges([...distinct].sort((a, b) => a - b));
}

function ascendingRanges(ascending: Iterable<number>): IndexRange[] {
  const ranges: { first: number; last: number; step: number }[] = [];
  for (const index of ascending) {
    const range = ranges.at(-1);
    if (range !== undefined && index === range.last + 1) range.last = index;
    else if (range === undefined || index > range.last) {
      ranges.push({ first: index, last: index, step: 1 });
    }
  }
  return ranges;
}

/** Returns ranges in Slurm's notation: `0-4,7,10-20:5`. */
export function formatRanges(ranges: readonly IndexRange[]): string {
  return ranges.map(({ first, last, step }) =>
    first === last ? `${first}` : step === 1 ? `${first}-${last}` : `${first}-${last}:${step}`
  ).join(",");
}

/** Returns indices in Slurm's notation: `0-4,7`. */
export function formatIndices(distinct: Iterable<number>): string {
  return formatRanges(toRanges(distinct));
}

/** A set of task indices: one byte for each index up to the highest, whatever the ranges are like. */
export class IndexSet implements Iterable<number> {
  #bytes: Uint8Array;
  #size = 0;

  /** Makes a set of the indices of some ranges, which may overlap. */
  constructor(ranges: readonly IndexRange[] = []) {
    const end = ranges.reduce((most, { last }) => Math.max(most, last + 1), 0);
    this.#bytes = new Uint8Array(end);
    for (const index of indices(ranges)) this.add(index);
  }

  /** Returns the set that a list in Slurm's notation stands for; none for a list it would refuse. */
  static of(notation: string | undefined): IndexSet {
    return new IndexSet(parseArraySpec(notation ?? "")?.ranges);
  }

  get size(): number {
    return this.#size;
  }

  has(index: number): boolean {
    return this.#bytes[index] === 1;
  }

  add(index: number): void {
    if (this.has(index)) return;
    if (index >= this.#bytes.length) {
      const longer = new Uint8Array(Math.max(index + 1, this.#bytes.length * 2));
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    this.#bytes[index] = 1;
    this.#size++;
  }

  /** Adds all indices of another set, and returns this one. */
  addAll(other: IndexSet): this {
    for (const index of other) this.add(index);
    return this;
  }

  /** Returns the indices that are not in another set. */
  without(other: IndexSet): IndexSet {
    return this.#filter((index) => !other.has(index));
  }

  /** Returns the indices that are in another set as well. */
  within(other: IndexSet): IndexSet {
    return this.#filter((index) => other.has(index));
  }

  #filter(keep: (index: number) => boolean): IndexSet {
    const kept = new IndexSet();
    for (const index of this) if (keep(index)) kept.add(index);
    return kept;
  }

  /** Yields the indices in ascending order. */
  *[Symbol.iterator](): Generator<number> {
    for (let index = 0; index < this.#bytes.length; index++) {
      if (this.#bytes[index] === 1) yield index;
    }
  }

  /** Returns the set as ascending ranges of step 1. */
  ranges(): IndexRange[] {
    return ascendingRanges(this);
  }

  /** Returns the set in Slurm's notation: `0-4,7`. */
  toString(): string {
    return formatRanges(this.ranges());
  }
}
