"""Whether a run of this identity is in the record already."""

from mtl.tracking.store import Store


def finished_run(store: Store, key: str) -> str | None:
    """Run id of a finished run with this key in the experiment."""
    query = f"tags.`mtl.key` = '{key}' and attributes.status = 'FINISHED'"
    found = store.client.search_runs([store.experiment_id], query, max_results=1)
    return found[0].info.run_id if found else None
