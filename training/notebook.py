"""Run ``notebook.ipynb`` from top to bottom and store what it shows: ``python -m training.notebook``.

What is stored must be free for anybody to show: pictures drawn by ``training.drawings``, never photos of Food-101. Run
it on photos of your own in Jupyter instead, with ``PHOTOS`` set in its second cell.
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path("notebook.ipynb")
PARAMETERS = "parameters"
"""Tag of the cell whose assignments may be overridden."""
SECONDS = 1_800


def main() -> None:
    """Run and store."""
    nbformat.write(executed(NOTEBOOK), NOTEBOOK)


def executed(path: Path, **parameters: object) -> nbformat.NotebookNode:
    """Return a notebook with its cells run in its own folder, and what they show.

    Args:
        path: The notebook.
        parameters: Values that replace those of its cell of parameters.

    Raises:
        nbclient.exceptions.CellExecutionError: when a cell fails.
    """
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    cell = next(cell for cell in notebook.cells if PARAMETERS in cell.metadata.get("tags", ()))
    source = cell.source
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    NotebookClient(
        notebook,
        timeout=SECONDS,
        startup_timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    cell.source = source
    for cell in notebook.cells:
        _keep_what_is_meant(cell)
    return notebook


def _keep_what_is_meant(cell: nbformat.NotebookNode) -> None:
    """Drop times, and what engines write to standard error: it tells of the machine, not of the model."""
    cell.metadata.pop("execution", None)
    if cell.cell_type == "code":
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]


if __name__ == "__main__":
    main()
