import configuration from "../../deno.json" with { type: "json" };

/** What an executable says of its own making. */
export interface BuildInfo {
  /** The version in `deno.json`. */
  readonly version: string;
  /** The git commit it was built from, with `-dirty` for other content; empty when not known. */
  readonly commit: string;
  /** `source` when run by deno, else which way of `make build` made it. */
  readonly kind: string;
}

/** How this program was made; the build replaces the two words in `@` in the bundled program. */
export const buildInfo: BuildInfo = {
  version: configuration.version,
  commit: baked("@BUILD_COMMIT@", ""),
  kind: baked("@BUILD_KIND@", "source"),
};

function baked(value: string, otherwise: string): string {
  return value.startsWith("@") ? otherwise : value;
}
