"""Wrong command lines: one sentence on stderr, nothing on stdout, exit code 2, no traceback."""

import pytest

from keras_bottleneck.cli import main

pytest.importorskip("tensorflow", reason="the command reads images and exports")

# The words, and what the sentence must hold.
CASES = [
    # verbs and options
    ("trian", "did you mean 'train'?"),
    ("Export RUN", "did you mean 'export'?"),
    ("fly", "`verb` must be one of"),
    ("--verbose", "No such option"),
    ("train", "`data` must be given, or `resume`"),
    ("train --data", "'--data'"),
    ("train --dta PHOTOS", "--data"),
    ("train PHOTOS", "unexpected extra argument"),
    ("export", "Missing argument"),
    ("export RUN --flag", "No such option"),
    ("predict RUN", "Missing argument"),
    ("audit FILES/small.tflite FILES/small.tflite", "unexpected extra argument"),
    ("train --data PHOTOS --epochs many", "'--epochs'"),
    ("train --data PHOTOS --epochs 1.5", "'--epochs'"),
    ("train --data PHOTOS --learning-rate fast", "'--learning-rate'"),
    # train
    ("train --data nowhere --out NEW", "existing folder"),
    ("train --data TRASH/text.png --out NEW", "not a file"),
    ("train --data TRASH/empty --out NEW", "at least two classes"),
    ("train --data TRASH/one --out NEW", "at least two classes"),
    ("train --data TRASH/hollow --out NEW", "the empty class 'dog'"),
    ("train --data TRASH/broken --out NEW", "readable image"),
    ("train --data PHOTOS --out NEW --model Resnet-50", "did you mean 'ResNet50'?"),
    ("train --data PHOTOS --out NEW --model mobilenetv2", "did you mean 'MobileNetV2'?"),
    ("train --data PHOTOS --out NEW --image-size 0", "`image_size`"),
    ("train --data PHOTOS --out NEW --epochs 0", "`epochs`"),
    ("train --data PHOTOS --out NEW --epochs -3", "`epochs`"),
    ("train --data PHOTOS --out NEW --batch-size -1", "`batch_size`"),
    ("train --data PHOTOS --out NEW --learning-rate -0.1", "`learning_rate`"),
    ("train --data PHOTOS --out NEW --optimizer adamm", "did you mean 'adam'?"),
    ("train --data PHOTOS --out NEW --label-smoothing 1", "`label_smoothing`"),
    ("train --data PHOTOS --out NEW --ema 2", "`ema`"),
    ("train --data PHOTOS --out NEW --augment flap", "`augment`"),
    ("train --data PHOTOS --out NEW --mixed-precision half", "`mixed_precision`"),
    ("train --data PHOTOS --out NEW --monitor loss", "did you mean 'val_loss'?"),
    ("train --data PHOTOS --out NEW --seed -1", "`seed`"),
    ("train --data PHOTOS --out RUN", "Received: out="),
    ("train --data PHOTOS --out TRASH/text.png", "`out`"),
    ("train --data PHOTOS --out TRASH/text.png/run", "`out`"),
    ("train --resume nowhere", "config.json"),
    ("train --resume TRASH/foreign", "this version writes"),
    ("train --resume RUN --epochs 1", "`epochs` must be more than the"),
    ("train --resume RUN --data PHOTOS", "given alone, not with `data`"),
    # finetune
    ("finetune", "`source` must be given, or `resume`"),
    ("finetune RUN --out NEW", "`data` must be given, or `resume`"),
    ("finetune RUN --resume RUN", "given alone, not with `source`"),
    ("finetune --resume nowhere", "config.json"),
    ("finetune resnet50 --data PHOTOS --out NEW", "did you mean 'ResNet50'?"),
    ("finetune ResNet20 --data PHOTOS --out NEW", "ResNet20 has no checkpoint"),
    (
        "finetune ResNet50 --data PHOTOS --out NEW --weights imagnet",
        "did you mean 'imagenet'?",
    ),
    ("finetune ResNet50 --data PHOTOS --out NEW --weights a.pth", "existing file"),
    ("finetune TRASH/empty.keras --data PHOTOS --out NEW", "whole .keras file"),
    ("finetune RUN --data PHOTOS --out NEW --weights imagenet", "has its own"),
    ("finetune RUN --data PHOTOS --out NEW --stages 99", "`stages`"),
    ("finetune RUN --data PHOTOS --out RUN", "Received: out="),
    ("finetune RUN --data PHOTOS --out NEW --batch-norm freeze", "did you mean 'frozen'?"),
    # list and summary
    ("list --model ResNet18", "No such option"),
    ("summary resnet_50", "did you mean 'ResNet50'?"),
    ("summary ResNet20 --target ethosu", "did you mean 'ethos-u'?"),
    ("summary ResNet20 --memory 1000", "without `target`"),
    ("summary ResNet20 --image-size -5", "`image_size`"),
    ("summary RUN --classes 5", "`classes`"),
    # evaluate
    ("evaluate FILES/small.tflite", "`data` must be given"),
    ("evaluate TRASH/text.tflite --data PHOTOS", "whole, readable"),
    ("evaluate TRASH/text.png --data PHOTOS", "`path` must be a .keras"),
    ("evaluate RUN --data TRASH/other", "classes of the artifact only"),
    ("evaluate RUN --subset test", "`subset`"),
    ("evaluate RUN --seed -2", "`seed`"),
    ("evaluate TRASH/stopped", "`train --resume`"),
    # quantize
    ("quantize TRASH/empty.keras --data PHOTOS", "whole .keras file"),
    ("quantize FILES/small.tflite --data PHOTOS --out NEW", ".keras file"),
    ("quantize RUN --out TRASH/text.png", "`out`"),
    ("quantize RUN --out NEW --rounding adaptve", "did you mean 'adaptive'?"),
    ("quantize RUN --out NEW --images 0", "`images`"),
    ("quantize RUN --out NEW --data TRASH/other", "classes of the model"),
    ("quantize RUN --out NEW --skip conv99", "`skip`"),
    # export
    ("export missing.keras --out NEW", "existing Keras file"),
    ("export TRASH/text.tflite --out NEW", ".keras file"),
    ("export RUN --out NEW --formats coreml", "`formats`"),
    ("export RUN --out NEW --formats tflight", "did you mean 'tflite'?"),
    ("export RUN --out NEW --formats tflite_int8", "for a float model"),
    ("export RUN --out TRASH/text.png", "`out`"),
    ("export RUN --out NEW --batch-size -1", "`batch_size`"),
    ("demo --out TRASH/text.png", "`out`"),
    # audit and predict
    ("audit missing.tflite", "existing file"),
    ("audit TRASH/text.tflite", "no TFL3 mark"),
    ("audit TRASH/text.png", ".tflite or .onnx"),
    ("predict RUN missing.jpg", "existing image file"),
    ("predict RUN TRASH/text.png", "readable image file"),
    ("predict RUN PHOTOS/one/00.png --top 0", "`top`"),
    ("predict nowhere PHOTOS/one/00.png", "`path`"),
    # benchmark, report and doctor
    ("benchmark RUN --formats tflight", "did you mean 'tflite'?"),
    ("benchmark RUN --threads many", "whole numbers"),
    ("benchmark RUN --threads 0", "`threads`"),
    ("benchmark RUN --images 0", "`images`"),
    ("benchmark RUN --out TRASH/text.png", "`out`"),
    ("benchmark RUN --min-top1 90", "`min_top1`"),
    ("benchmark RUN --formats onnx --max-latency-ratio 2", "`max_latency_ratio`"),
    ("benchmark RUN --data TRASH/other", "classes"),
    ("benchmark FILES/small.tflite --data PHOTOS", ".keras file"),
    ("benchmark TRASH/empty.keras --data PHOTOS", "whole .keras file"),
    ("report nowhere", "`run`"),
    ("report RUN --images 0", "`images`"),
    ("report RUN --out TRASH/empty", "`path`"),
    ("doctor --timeout 0", "`timeout`"),
]


@pytest.fixture(scope="module")
def trash(tmp_path_factory, photos):
    """Things that are not what they are taken for."""
    folder = tmp_path_factory.mktemp("trash")
    for name in ("text.png", "text.tflite"):
        (folder / name).write_text("only text")
    (folder / "empty.keras").touch()
    for name in ("empty", "foreign", "stopped"):
        (folder / name).mkdir()
    (folder / "foreign" / "config.json").write_text('{"verb": "train"}')
    image = (photos / "one" / "00.png").read_bytes()
    layout = {"one": ["cat"], "hollow": ["cat"], "other": ["cat", "dog"]}
    for name, classes in layout.items():
        for one in classes:
            (folder / name / one).mkdir(parents=True)
            for index in range(2):
                # No two files alike, and each still a whole image.
                content = image + f"{name} {one} {index}".encode()
                (folder / name / one / f"{index}.png").write_bytes(content)
    (folder / "hollow" / "dog").mkdir()
    for one in ("cat", "dog"):
        (folder / "broken" / one).mkdir(parents=True)
        (folder / "broken" / one / "0.png").write_text("only text")
    return folder


@pytest.mark.parametrize(("line", "said"), CASES, ids=[line for line, _ in CASES])
def test_a_wrong_command_line_is_one_sentence(
    line, said, photos, run, exported, trash, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    config = (run / "config.json").read_text()
    (trash / "stopped" / "config.json").write_text(config)
    places = {"PHOTOS": photos, "RUN": run, "FILES": exported, "TRASH": trash, "NEW": "new"}
    words = line.split()
    for name, place in places.items():
        words = [word.replace(name, str(place)) for word in words]
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    sentence = printed.err
    assert sentence.startswith("error: ")
    assert said in sentence
    assert list(tmp_path.iterdir()) == []


def test_there_are_more_than_fifty():
    assert len(CASES) > 50
