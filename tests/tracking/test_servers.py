"""A real `mlflow server`, killed while runs are recorded; points are counted in its database."""

import subprocess
import sys
import textwrap
import time

import pytest

from mtl.errors import MtlError
from mtl.tracking.recorder import Recorder
from mtl.tracking.store import open_store
from tests.tracking.servers import Server, count, free_port, postgres

WRITER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from mtl.tracking.recorder import Recorder
    from mtl.tracking.store import open_store
    uri, number, folder, steps, pause = sys.argv[1:]
    folder, steps, pause = Path(folder), int(steps), float(pause)
    store = open_store(uri, "eight")
    with Recorder(store, number, {}, folder=folder / number, patience=60) as recorder:
        (folder.parent / f"began-{number}").touch()
        for step in range(steps):
            recorder.metrics({f"{number}/a": step / 3, f"{number}/b": 1.0}, step)
            time.sleep(pause)
""")


def writers(uri, folder, steps, pause):
    script = folder / "writer.py"
    script.write_text(WRITER)
    words = [[sys.executable, str(script), uri, str(i), str(folder / "runs"), str(steps), str(pause)] for i in range(8)]
    return [subprocess.Popen(each, cwd=folder) for each in words]


def expected(steps):
    keys = [f"{number}/{name}" for number in range(8) for name in "ab"]
    rows = [(key, step, step / 3 if key[-1] == "a" else 1.0) for key in keys for step in range(steps)]
    return sorted(rows)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, tmp_path):
    if request.param == "sqlite":
        found = Server(tmp_path, f"sqlite:///{tmp_path / 'served.db'}")
        yield found
        found.kill()
    else:
        with postgres() as address:
            found = Server(tmp_path, address)
            yield found
            found.kill()


@pytest.mark.slow
def test_a_server_that_is_killed_in_the_middle_gets_every_point_once(server, tmp_path):
    store = open_store(server.uri, "killed")
    with Recorder(store, "run", {"mtl.key": "k"}, folder=tmp_path / "run", patience=60) as recorder:
        recorder.params({"long": "x" * 6000})
        for step in range(100):
            recorder.metrics({"a": step / 7}, step)
            time.sleep(0.02)
        server.kill()
        began = time.perf_counter()
        for step in range(100, 200):
            recorder.metrics({"a": step / 7}, step)
        assert time.perf_counter() - began < 0.5
        recorder.metrics({"worst": float("-inf"), "none": float("nan")}, 200)
        recorder.text("kept", "note.txt")
        time.sleep(2)
        server.start()
    assert recorder.delivered
    rows = count(server.backend)
    assert [row for row in rows if row[0] == "a"] == [("a", step, step / 7) for step in range(200)]
    run = store.client.get_run(recorder.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["long"] == "x" * 6000
    assert len(store.client.search_runs([store.experiment_id])) == 1
    assert [file.path for file in store.client.list_artifacts(recorder.run_id)] == ["note.txt"]


@pytest.mark.slow
def test_eight_cold_writers_through_a_server_that_is_away_for_half_a_minute_lose_nothing(tmp_path):
    server = Server(tmp_path, f"sqlite:///{tmp_path / 'served.db'}")
    try:
        processes = writers(server.uri, tmp_path, steps=400, pause=0.1)
        deadline = time.monotonic() + 90
        while len(list(tmp_path.glob("began-*"))) < 8 and time.monotonic() < deadline:
            time.sleep(0.1)
        server.kill()
        time.sleep(30)
        server.start()
        assert [process.wait(120) for process in processes] == [0] * 8
        assert count(server.backend) == expected(400)
    finally:
        server.kill()


@pytest.mark.slow
def test_eight_writers_that_begin_on_no_store_at_all_lose_nothing(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert [process.wait(120) for process in writers(uri, tmp_path, steps=100, pause=0.01)] == [0] * 8
    assert count(uri) == expected(100)


def test_the_first_contact_with_a_server_that_is_down_is_one_line():
    with pytest.raises(MtlError, match="does not answer") as error:
        open_store(f"http://somebody:secret@127.0.0.1:{free_port()}", "none")
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)
