from benchmarks.step import ROWS, make_tasks
from mtl.strategies.switching.joint import Joint
from mtl.training.loaders import StepLoader


def test_tasks_that_share_rows_read_them_without_a_gather():
    tasks = make_tasks()
    loader = StepLoader(tasks, Joint(dict.fromkeys(tasks, 512), ROWS), 40, seed=0)
    assert all(rows.inputs is None for batch in loader for rows in batch.tasks.values())
