/**
 * What the tool may do: everything. Deno opens `/proc` to nothing less (2.9.6), and without the
 * start times of processes no lock of a dead process could be broken; what may start programs is
 * not confined by anything else either. The tool itself makes no network connection.
 */
export const permissionFlags: readonly string[] = ["--allow-all"];

/**
 * The flags under which the bundled program runs: it reads no configuration of the directory it is
 * called in, loads nothing, and leaves nothing behind.
 */
export const runFlags: readonly string[] = [
  ...permissionFlags,
  "--quiet",
  "--no-config",
  "--no-lock",
  "--cached-only",
  "--no-remote",
  "--no-npm",
  "--no-code-cache",
];

/** The variables that change how deno works (2.9.6); the user's values are for other programs. */
export const runtimeVariables: readonly string[] = [
  "DENO_AUDIT_PERMISSIONS",
  "DENO_AUTO_SERVE",
  "DENO_CACHE_DB_MODE",
  "DENO_CERT",
  "DENO_COMPAT",
  "DENO_CONDITIONS",
  "DENO_COVERAGE_DIR",
  "DENO_DIR",
  "DENO_EMIT_CACHE_MODE",
  "DENO_LOG",
  "DENO_NO_PACKAGE_JSON",
  "DENO_NO_UPDATE_CHECK",
  "DENO_PERMISSION_BROKER_PATH",
  "DENO_TLS_CA_STORE",
  "DENO_TRACE_PERMISSIONS",
  "DENO_UNSTABLE_CONTROL_SOCK",
  "DENO_V8_FLAGS",
  "NODE_CHANNEL_FD",
  "NODE_DEBUG",
  "NODE_EXTRA_CA_CERTS",
  "NODE_OPTIONS",
  "NODE_V8_COVERAGE",
  "OTEL_DENO",
  "RUST_BACKTRACE",
  "RUST_LIB_BACKTRACE",
  "RUST_LOG",
];
