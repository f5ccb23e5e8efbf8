"""Run notebooks anew and keep what they print: `python notebooks/refresh.py [NAME.ipynb ...]`, all by default.

What differs from run to run and says nothing is left out: times, ids of runs, the temporary folder, standard error.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NOISE = {
    r"\(\d+ s, run [0-9a-f]{32}\)": "(… s, run …)",
    r"\b[0-9a-f]{32}\b": "…",
    r"(?m)^\[[^]]*\]\[HYDRA\] .*\n": "",  # it repeats the overrides
    r" at 0x[0-9a-f]+": "",
}


def run(notebook: Any, folder: Path, timeout: int = 600) -> None:
    """Execute all cells in the folder; CellExecutionError where one fails. The kernel has time to clear up."""
    client = NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(folder)}})
    client.create_kernel_manager().shutdown_wait_time = 60
    client.execute()


def clean(notebook: Any) -> None:
    """Leave out what differs from run to run."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            for output in cell.outputs:
                if "text" in output:
                    output.text = without_noise(output.text)
                for form, value in output.get("data", {}).items():
                    if form.startswith("text/"):
                        output.data[form] = without_noise(value)
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr" and one.get("text") != ""]


def without_noise(text: str) -> str:
    """The text without times, ids and addresses."""
    text = text.replace(tempfile.gettempdir(), "…")
    for pattern, instead in NOISE.items():
        text = re.sub(pattern, instead, text)
    return text


def main(names: list[str]) -> None:
    """Run and write each."""
    for path in [HERE / name for name in names] or sorted(HERE.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            run(notebook, Path(folder))
        clean(notebook)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
