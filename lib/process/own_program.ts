/** How this program can be started once more; set at its start, unknown to tests of parts. */
let own: OwnProgram | undefined;

/** The words and variables that start this program. */
export interface OwnProgram {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Keeps the path of the executable; undefined when deno runs the program from its source. */
export function setOwnProgram(executable: string | undefined): void {
  if (executable !== undefined) {
    own = { argv: [executable], environment: {} };
    return;
  }
  const source = new URL(Deno.mainModule).pathname;
  const cache = Deno.env.get("DENO_DIR");
  own = {
    argv: [Deno.execPath(), "run", "--quiet", "--no-prompt", "-A", source],
    environment: cache === undefined ? {} : { DENO_DIR: cache },
  };
}

/** Returns how this program can be started once more, through no link of another name. */
export function ownProgram(): OwnProgram | undefined {
  const [executable, ...others] = own?.argv ?? [];
  if (own === undefined || executable === undefined || others.length > 0) return own;
  return { ...own, argv: [Deno.realPathSync(executable)] };
}
