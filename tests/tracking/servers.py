"""MLflow servers and a PostgreSQL cluster of a test's own, on free ports of this machine."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`mlflow server` of one worker; it may be killed and started again on its port."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.folder, self.backend, self.port = folder, backend, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self.backend]
        words += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        words += ["--host", "127.0.0.1", "--port", str(self.port)]
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        output = (self.folder / "server.log").open("a")
        self._process = subprocess.Popen(
            words, stdout=output, stderr=output, start_new_session=True, env=environment, cwd=self.folder
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=2).close()
                return
            time.sleep(0.2)
        raise AssertionError((self.folder / "server.log").read_text()[-3000:])

    def kill(self) -> None:
        """SIGKILL to it and to its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def postgres():
    """The address of an empty database; skips where PostgreSQL or its driver isn't installed."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    bins = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(bins[-1]) if bins else None)
    if found is None:
        pytest.skip("PostgreSQL (initdb) is not installed")
    programs = Path(found).resolve().parent
    # PostgreSQL refuses to run as root: as its own user then, in a folder that this one can reach
    account = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if account and (shutil.which("setpriv") is None or not _has_user("postgres")):
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(subprocess.check_output([*account, "mktemp", "-d", "/tmp/mtl-pg-XXXXXX"], text=True).strip())
    port, data = free_port(), folder / "data"
    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([*account, programs / "initdb", "-A", "trust", "-U", "mtl", "-D", data], check=True, **quiet)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        control = [*account, programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg2://mtl@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_user(name: str) -> bool:
    import pwd

    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def count(backend: str) -> list[tuple[str, int, float]]:
    """(key, step, value) of every row of the metrics table, in order."""
    from sqlalchemy import create_engine, text

    engine = create_engine(backend)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT key, step, value FROM metrics ORDER BY key, step, value")).all()
    engine.dispose()
    return [tuple(row) for row in rows]
