"""Tags that are known only when runs have ended: which design they belong to, and what their prompt was made from."""

from collections.abc import Mapping

from mtl.tracking.artifacts import open_client


def tag_runs(uri: str, tags: Mapping[str, Mapping[str, str]]) -> None:
    """Set tags by run id; MLflow takes 5,000 characters a value."""
    client = open_client(uri)
    for run_id, found in tags.items():
        for name, value in found.items():
            client.set_tag(run_id, name, value[:5000])
