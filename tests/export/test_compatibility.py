"""Networks of others become files, or are refused, as the documentation says."""

from pathlib import Path

import pytest

from ..marks import some_full
from . import families

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
RECORD = families.record_beside(PAGE)
# A network of blocks with grouped convolutions and squeeze-excite: CI runs it.
IN_CI = "KerasHub MobileNet"


@pytest.mark.slow
@pytest.mark.parametrize("name", some_full(RECORD, set(RECORD) - {IN_CI}))
def test_a_family_is_as_the_page_says(name, tmp_path):
    missing = families.needs(name)
    if missing:
        pytest.skip(f"needs the optional package {missing}")
    assert families.outcome(name, tmp_path) == RECORD[name]


def test_the_page_shows_the_record():
    assert PAGE.read_text("utf-8") == families.page(RECORD)


def test_every_family_of_keras_applications_is_tried():
    public = {name for name in dir(families.applications) if name[0].isupper()}
    same = {
        "ConvNeXtTiny": {"ConvNeXtSmall", "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtXLarge"},
        "DenseNet121": {"DenseNet169", "DenseNet201"},
        "EfficientNetB0": {f"EfficientNetB{size}" for size in range(1, 8)},
        "EfficientNetV2B0": {f"EfficientNetV2{size}" for size in ("B1", "B2", "B3", "S", "M", "L")},
        "NASNetMobile": {"NASNetLarge"},
        "ResNet50": {"ResNet101", "ResNet152"},
        "ResNet50V2": {"ResNet101V2", "ResNet152V2"},
        "VGG16": {"VGG19"},
    }
    assert public - set().union(*same.values()) <= set(families.FAMILIES)
