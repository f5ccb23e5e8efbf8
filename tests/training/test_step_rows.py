from benchmarks.step import make_tasks
from benchmarks.synth import make_loader


def test_tasks_that_share_rows_read_them_without_a_gather():
    tasks = make_tasks()
    loader = make_loader(tasks, 40)
    assert all(rows.inputs is None for batch in loader for rows in batch.tasks.values())
