import assert from "node:assert/strict";
import fc from "fast-check";
import { isWithin } from "../../lib/paths.ts";
import { findHolder, rebuildReservations, release, reserve } from "../../lib/store/reservations.ts";

function withTree(work: (tree: string) => void): void {
  const directory = Deno.makeTempDirSync();
  try {
    work(`${directory}/main`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const component = fc.oneof(
  fc.constantFrom("a", "b", "=", "~", "=a", "x".repeat(255), "ä".repeat(60), "y".repeat(61)),
  fc.string({ minLength: 1, maxLength: 5 }).filter((name) =>
    !/[/\0]/.test(name) && name !== "." && name !== ".." && name.isWellFormed()
  ),
);
const path = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.array(component, { minLength: 1, maxLength: 4 }).map((c) => c.join("/")),
  },
  { weight: 1, arbitrary: fc.constant(".") },
);

Deno.test("reservations agree with a plain list of the paths held", () => {
  const step = fc.record({ path, isRelease: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) =>
      withTree((tree) => {
        const held = new Map<string, string>();
        for (const [index, { path, isRelease }] of steps.entries()) {
          if (isRelease) {
            release(tree, held.get(path) ?? "nobody", [path]);
            held.delete(path);
            continue;
          }
          const inTheWay = [...held].filter(([other]) =>
            isWithin(path, other) || isWithin(other, path)
          );
          const conflict = reserve(tree, `t${index}`, [path]);
          if (inTheWay.length === 0) {
            assert.equal(conflict, undefined);
            held.set(path, `t${index}`);
          } else {
            assert(conflict !== undefined);
            assert.equal(conflict.token, held.get(conflict.held));
            assert(inTheWay.some(([other]) => other === conflict.held));
          }
        }
        for (const [path, token] of held) assert.equal(findHolder(tree, path)?.token, token);
      })),
    { numRuns: 200 },
  );
});

Deno.test("of several paths all or none are reserved", () =>
  withTree((tree) => {
    assert.equal(reserve(tree, "one", ["b/c"]), undefined);
    assert.deepEqual(reserve(tree, "two", ["a", "b"]), { wanted: "b", held: "b/c", token: "one" });
    assert.equal(findHolder(tree, "a"), undefined);
  }));

Deno.test("a tree made anew holds what it is given and nothing else", () =>
  withTree((tree) => {
    reserve(tree, "old", ["a"]);
    rebuildReservations(tree, [{ token: "new", paths: ["b", "c/d"] }]);
    assert.equal(findHolder(tree, "a"), undefined);
    assert.equal(findHolder(tree, "c")?.token, "new");
  }));
