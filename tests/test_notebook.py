"""The notebook runs from top to bottom, defines nothing, shows what it promises, stores nothing that is not ours."""

import ast
import base64
import io
import json
import re
import resource
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from training.drawings import DISHES, draw_dishes
from training.folders import read_folders

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebook.ipynb"
SAMPLE = {"DISHES": 3, "PER_DISH": 12, "EPOCHS": 2}
CPU_SECONDS = 60
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|tmp|work|usr|opt|mnt|Users|var)/|[A-Z]:\\\\")


def cells(kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def children_cpu() -> float:
    """Return the processor seconds of processes that this one started and that have ended: kernels, for one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_it_defines_nothing() -> None:
    tree = ast.parse("\n".join(map(source, cells("code"))))
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [node for node in ast.walk(tree) if isinstance(node, named)] == []


def test_every_cell_ran_in_order_and_shows_what_it_is_for() -> None:
    code = cells("code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    silent = [cell["execution_count"] for cell in code if not cell["outputs"]]
    assert silent == [1, 2], "parameters and imports alone show nothing"
    kinds = [kind for cell in code for output in cell["outputs"] for kind in output.get("data", ())]
    assert kinds.count("image/png") >= 7
    assert "image/svg+xml" in kinds
    assert "text/markdown" in kinds


def test_stored_outputs_tell_nothing_of_the_machine() -> None:
    for cell in cells("code"):
        for output in cell["outputs"]:
            assert output["output_type"] in ("stream", "execute_result", "display_data")
            assert output.get("name") != "stderr"
            texts = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/png")}
            assert not MACHINE_PATH.search(json.dumps([output.get("text", ""), texts]))


def test_stored_pictures_are_drawn_ones() -> None:
    # No photo of Food-101 may be stored: pictures come from the drawings, and so did this run.
    first = source(cells("code")[0])
    assert "PHOTOS = None" in first
    said = "".join("".join(output.get("text", "")) for cell in cells("code")[:3] for output in cell["outputs"])
    assert said.startswith(", ".join(DISHES))


def test_stored_pictures_can_be_opened() -> None:
    for cell in cells("code"):
        for output in cell["outputs"]:
            if picture := output.get("data", {}).get("image/png"):
                with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
                    assert image.width > 200


def test_links_lead_somewhere() -> None:
    text = "\n".join(map(source, cells("markdown")))
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(targets) > 4
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_it_runs_from_top_to_bottom_on_a_small_sample() -> None:
    from training.notebook import executed

    began = children_cpu()
    notebook = executed(NOTEBOOK, **SAMPLE)
    assert children_cpu() - began < CPU_SECONDS
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code[2:])
    assert code[2].outputs[0].text.startswith("bagels, donuts, macarons\n")


def test_drawings_are_the_same_each_time_and_can_be_divided(tmp_path: Path) -> None:
    one, other = (draw_dishes(tmp_path / name, 6) for name in ("one", "other"))
    pictures = [sorted(folder.glob("*/*.jpg")) for folder in (one, other)]
    assert [path.read_bytes() for path in pictures[0]] == [path.read_bytes() for path in pictures[1]]
    photos = read_folders(one)
    assert photos.classes == tuple(DISHES)
    few = photos.few(2, 6)
    assert few.classes == ("bagels", "donuts")
    assert [len(kind) for kind in few[1:]] == [8, 2, 2]
    assert set(few.train) <= set(photos.train)


@pytest.mark.parametrize("count", [pytest.param(5, id="least"), pytest.param(1_000, id="more than there are")])
def test_a_few_photos_leave_every_kind_with_some(tmp_path: Path, count: int) -> None:
    photos = read_folders(draw_dishes(tmp_path, 5)).few(3, count)
    for kind in photos[1:]:
        assert {photo.label for photo in kind} == {0, 1, 2}
