"""Tables by a detector in a Hugging Face folder, on a tiny random checkpoint of the right shape."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tallow.documents.content import PageContent
from tallow.documents.detection.table_transformer import TableTransformer
from tallow.errors import ArgumentError
from tallow.tasks.image_tasks import Detection

GOLDEN = Path(__file__).parents[2] / "golden" / "families" / "table-transformer"


def page(width=400, height=300):
    pixels = np.full((height, width, 3), 255, np.uint8)
    return PageContent(width, height, "picture", rendered=lambda: pixels)


class Fake:
    """A detector that sees what it is told to."""

    labels = ("table", "table rotated")

    def __init__(self, *found):
        self.found = found

    def __call__(self, image):
        return list(self.found)


def made(*found):
    model = TableTransformer.__new__(TableTransformer)
    model._detector = Fake(*found)
    return model


def test_boxes_get_a_margin_within_the_page():
    model = made(Detection("table", 0.95, (100, 50, 300, 200), 0))
    assert model(page())[0].box == (95, 45, 305, 205)  # 10 at a longest side of 800
    assert made(Detection("table", 0.95, (0, 0, 400, 300), 0))(page())[0].box == (0, 0, 400, 300)


def test_units_are_of_the_page():
    content = page()
    content.scale, content.width, content.height = 2.0, 200, 150
    model = made(Detection("table", 0.95, (100, 50, 300, 200), 0))
    assert model(content)[0].box == (47.5, 22.5, 152.5, 102.5)


def test_of_boxes_of_one_table_the_best_is_kept():
    model = made(
        Detection("table rotated", 0.99, (10, 150, 200, 290), 1),
        Detection("table", 0.97, (100, 10, 300, 100), 0),
        Detection("table", 0.93, (105, 12, 300, 105), 0),
        Detection("column", 0.99, (0, 0, 50, 50), 2),
    )
    assert [region.score for region in model(page())] == [0.97, 0.99]  # from top to bottom


def test_what_detects_no_tables_is_refused(monkeypatch):
    class Cats(Fake):
        labels = ("cat", "dog")

        def __init__(self, ref, threshold):
            assert (ref, threshold) == ("folder", 0.9)

    monkeypatch.setattr("tallow.tasks.Detector", Cats)
    with pytest.raises(ArgumentError, match="expected folder to have a label of table"):
        TableTransformer("folder")


def test_a_folder_with_the_published_processor(tmp_path):
    """Shapes of the published detector, with v1.1's processor: only a longest edge."""
    folder = tmp_path / "model"
    shutil.copytree(GOLDEN, folder)
    config = json.loads((folder / "config.json").read_text())
    labels = {"0": "table", "1": "table rotated", "2": "chart"}
    config |= {"id2label": labels, "label2id": {name: int(i) for i, name in labels.items()}}
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"image_processor_type": "DetrImageProcessor", "size": {"longest_edge": 800}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    found = TableTransformer(str(folder), threshold=0.0)(page())
    assert all(region.source == "table-transformer" and region.score > 0 for region in found)
    assert all(0 <= region.box[0] <= region.box[2] <= 400 for region in found)
