/** The file system that a directory is on. */
export interface FileSystem {
  /** Such as `ext4`, `nfs4`, `lustre`. */
  readonly type: string;
  readonly mountPoint: string;
  /** Options of the mount and of the file system, such as `rw`, `noexec`, `local_lock=none`. */
  readonly options: readonly string[];
}

/**
 * Returns the file system that an absolute path without symbolic links is on, from the text of
 * `/proc/self/mountinfo`: `26 1 254:1 / /home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2`.
 */
export function fileSystemOf(path: string, mountinfo: string): FileSystem | undefined {
  let found: FileSystem | undefined;
  for (const line of mountinfo.split("\n")) {
    const [mount = "", device = ""] = line.split(" - ");
    const fields = mount.split(" ");
    const mountPoint = unescaped(fields[4] ?? "");
    const [type, , superOptions = ""] = device.split(" ");
    if (type === undefined || mountPoint === "" || !isAtOrBelow(path, mountPoint)) continue;
    // Of two at one place the later one is on top.
    if (found === undefined || mountPoint.length >= found.mountPoint.length) {
      found = {
        type,
        mountPoint,
        options: [...(fields[5] ?? "").split(","), ...superOptions.split(",")],
      };
    }
  }
  return found;
}

function isAtOrBelow(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** Spaces and the like are written as `\040`. */
function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
