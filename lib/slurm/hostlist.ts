import { named } from "./fields.ts";

/**
 * Yields the names in a node list of Slurm's in their order: `n[01-03,7],m1` stands for `n01`, `n02`,
 * `n03`, `n7` and `m1`. What is no list, and what Slurm puts where there is none, yields nothing.
 */
export function* hostnames(list: string): Generator<string, undefined> {
  // A comma inside brackets parts numbers.
  for (const [word] of (named(list) ?? "").matchAll(/(?:[^,[\]]|\[[^\]]*\])+/g)) {
    yield* expand(word);
  }
}

function* expand(word: string): Generator<string, undefined> {
  const [, before, ranges, after = ""] = /^([^[]*)\[([^\]]*)\](.*)$/.exec(word) ?? [];
  if (before === undefined || ranges === undefined) {
    yield word;
    return;
  }
  for (const number of numbers(ranges)) {
    for (const rest of expand(after)) yield `${before}${number}${rest}`;
  }
}

/** Yields the numbers of `01-03,7`, each with as many digits as its range begins with. */
function* numbers(ranges: string): Generator<string, undefined> {
  for (const range of ranges.split(",")) {
    const [, first, last] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(range) ?? [];
    if (first === undefined) continue;
    for (let number = Number(first); number <= Number(last ?? first); number++) {
      yield String(number).padStart(first.length, "0");
    }
  }
}
