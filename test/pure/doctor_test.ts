import assert from "node:assert/strict";
import { checkLogout } from "../../lib/commands/check_stand_in.ts";
import { freeBytes } from "../../lib/commands/check_files.ts";
import { isAtLeast } from "../../lib/commands/checks.ts";
import { parseController } from "../../lib/slurm/controller.ts";
import { fileSystemOf } from "../../lib/store/file_system.ts";

Deno.test("versions are compared number by number", () => {
  assert(isAtLeast("2.30.0", "2.30"));
  assert(isAtLeast("2.39.5", "2.30"));
  assert(isAtLeast("10.20230126", "8.20200226"));
  assert(isAtLeast("22.05.8", "20.11"));
  assert(!isAtLeast("2.9.1", "2.30"));
  assert(!isAtLeast("1.99", "2.30"));
});

Deno.test("the file system of a path is the one mounted nearest above it, the last one there", () => {
  const mountinfo = [
    "26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
    "40 26 0:50 / /home rw,nosuid shared:2 - nfs4 server:/home rw,vers=4.2,local_lock=none",
    "41 26 0:51 / /data\\040of\\040all rw - lustre mds@tcp:/data rw,flock",
    "42 26 0:52 / /scratch rw - ext4 /dev/vdb rw",
    "43 26 0:53 / /scratch rw,noexec - beegfs beegfs_nodev rw",
  ].join("\n");
  const typeOf = (path: string) => fileSystemOf(path, mountinfo)?.type;
  assert.equal(typeOf("/"), "ext4");
  assert.equal(typeOf("/homely"), "ext4");
  assert.equal(typeOf("/home/ada/ds"), "nfs4");
  assert.equal(typeOf("/data of all/ds"), "lustre");
  assert.equal(typeOf("/scratch"), "beegfs");
  assert.deepEqual(fileSystemOf("/scratch/x", mountinfo)?.options, ["rw", "noexec", "rw"]);
  assert.equal(fileSystemOf("/x", "nonsense"), undefined);
});

Deno.test("the space that df tells, names with spaces in them too", () => {
  const header = "Filesystem     1024-blocks     Used Available Capacity Mounted on\n";
  assert.equal(freeBytes(`${header}/dev/vda1  102400  2400  100000  3% /\n`), 102_400_000);
  assert.equal(freeBytes(`${header}//srv/my share 10 5 5 50% /mnt/my share\n`), 5120);
  assert.equal(freeBytes(header), undefined);
  assert.equal(freeBytes("df: /x: No such file or directory\n"), undefined);
});

Deno.test("whether programs outlive a logout, by logind's configuration, of which the last word counts", () => {
  const verdict = (texts: string[], isLingering = false) => checkLogout(texts, isLingering).verdict;
  assert.equal(verdict([]), "ok");
  assert.equal(verdict(["[Login]\n#KillUserProcesses=yes\n"]), "ok");
  assert.equal(verdict(["[Login]\nKillUserProcesses=yes\n"]), "warning");
  assert.equal(verdict(["KillUserProcesses=yes\n", "KillUserProcesses=no\n"]), "ok");
  assert.equal(verdict(["KillUserProcesses = true\n"], true), "ok");
});

Deno.test("slurmctld's configuration: version, accounting and clock; absent ones are unknown", () => {
  const said = [
    "Configuration data as of 1795359739",
    "AccountingStorageType   = accounting_storage/slurmdbd",
    "ClusterName             = my cluster",
    "MinJobAge               = 300 sec",
    "SLURM_VERSION           = 22.05.8",
    "",
  ].join("\n");
  assert.deepEqual(parseController(said), {
    version: "22.05.8",
    cluster: "my cluster",
    accounting: "accounting_storage/slurmdbd",
    minJobAge: 300,
    time: 1795359739,
  });
  assert.deepEqual(Object.values(parseController("SLURM_VERSION =\n")), Array(5).fill(undefined));
});
