from benchmarks.reading import make_store, measure, read, search, table


def test_both_read_the_same_runs_and_the_table_prints(tmp_path):
    uri = make_store(tmp_path / "mlflow.db", 40)
    assert read(uri) == search(uri) == 40
    assert table(uri) > 40
    assert {len(seconds) for seconds in measure(uri, 1).values()} == {1}
