"""A notebook executed from the top, as the JSON text that is committed: the same in every run."""
from pathlib import Path

import nbformat
from repository import ROOT

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def normalised(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without what differs from run to run or from machine to machine."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number:02}"
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            output.pop("transient", None)
            if output.output_type == "stream" and output.name == "stderr":
                raise ValueError(f"cell {number} writes to stderr: {output.text}")
            for text in (output.get("text", ""), *output.get("data", {}).values()):
                assert str(ROOT) not in text, f"cell {number} prints a path of this machine: {text}"
    return notebook


def execute(path: Path) -> str:
    """The executed notebook, as text."""
    import matplotlib.font_manager  # noqa: F401  makes its cache here: a first import in a cell would print a note
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False, coalesce_streams=True,
                   resources={"metadata": {"path": str(path.parent)}}, extra_arguments=["--log-level=ERROR"]).execute()
    text = nbformat.writes(normalised(notebook))
    return text if text.endswith("\n") else text + "\n"
