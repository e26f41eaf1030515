#!/usr/bin/env python3
"""Run a command beside a PostgreSQL server of its own, on a free port, in a folder that goes when it ends.

    postgres.py exec COMMAND [ARGUMENT...]

The command finds the server's URL, without a database's name, in CALLMARK_TEST_POSTGRES. The server's programs are those
of Debian's package `postgresql`; it listens on 127.0.0.1 alone and lets this machine's users in without a password. The
exit status is the command's.
"""
import glob
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile
import time

from kafka_broker import free_port

PATIENCE_SECONDS = 60
# PostgreSQL refuses to run as root; the package makes this user.
OWNER = "postgres"


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    if not found:
        sys.exit("error: no PostgreSQL server is installed (Debian package postgresql)")
    return pathlib.Path(found[-1]).parent


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "exec":
        sys.exit(__doc__)
    binaries = programs()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="callmark-postgres-"))
    as_owner = []
    if os.geteuid() == 0:
        account = pwd.getpwnam(OWNER)
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_owner = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    data, port, log = folder / "data", free_port(), open(folder.with_suffix(".log"), "w")
    server = None
    try:
        initialise = [binaries / "initdb", "--pgdata", data, "--auth", "trust", "--username", OWNER, "--encoding", "UTF8"]
        subprocess.run([*as_owner, *map(str, initialise)], check=True, stdout=log, stderr=log, cwd="/")
        options = ["-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
        server = subprocess.Popen([*as_owner, str(binaries / "postgres"), *map(str, options), "-c", "max_connections=300"],
                                  stdout=log, stderr=log, cwd="/")
        url = f"postgres://{OWNER}@127.0.0.1:{port}"
        began = time.monotonic()
        while subprocess.run(["psql", "--quiet", "-d", f"{url}/postgres", "-c", "select 1"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
            if server.poll() is not None or time.monotonic() - began > PATIENCE_SECONDS:
                sys.exit(f"error: PostgreSQL does not start:\n{pathlib.Path(log.name).read_text()}")
            time.sleep(0.2)
        ran = subprocess.run(sys.argv[2:], env={**os.environ, "CALLMARK_TEST_POSTGRES": url})
        return ran.returncode
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)
        log.close()
        os.unlink(log.name)


if __name__ == "__main__":
    sys.exit(main())
