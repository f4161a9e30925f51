"""A file of weights that is named as if it were a network is told the way in that fits what it holds."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import explainers as ex
from explainers.errors import ModelError

NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()


def weights(file):
    torch.save(NETWORK.state_dict(), file)


def weights_of_old(file):
    torch.save(NETWORK.state_dict(), file, _use_new_zipfile_serialization=False)


def checkpoint(file):
    torch.save({"epoch": 3, "state_dict": NETWORK.state_dict(), "optimizer": {"lr": 0.1}}, file)


def safe(file):
    save_file(NETWORK.state_dict(), file)


def whole(file):
    torch.save(NETWORK, file)


def whole_of_old(file):
    torch.save(NETWORK, file, _use_new_zipfile_serialization=False)


def scripted(file):
    torch.jit.script(NETWORK).save(file)


def exported(file):
    torch.export.save(torch.export.export(NETWORK, (torch.zeros(1, 3, 2, 2),)), file)


def words(file):
    file.write_text("no weights at all")


def nothing(file):
    file.touch()


BY_NAME = r"weights=…/mine\.{}.*load_state_dict\({}.*ex\.wrap"
TOLD = [
    ("mine.pth", weights, BY_NAME.format("pth", "torch.load")),
    ("mine.pt", weights_of_old, BY_NAME.format("pt", "torch.load")),
    ("mine.safetensors", safe, BY_NAME.format("safetensors", "safetensors.torch.load_file")),
    ("mine.ckpt", checkpoint, r"build it, module\.load_state_dict.*ex\.wrap"),
    ("mine.pth", whole, r"more than weights.*not opened here.*ex\.wrap"),
    ("mine.pkl", whole_of_old, r"more than weights.*not opened here.*ex\.wrap"),
    ("mine.pt", scripted, r"TorchScript.*torch\.jit\.load.*ex\.wrap|ex\.wrap\(torch\.jit\.load"),
    ("mine.pt2", exported, r"exported program.*torch\.export\.load"),
    ("mine.pth", words, "cannot be read"),
    ("mine.bin", nothing, "cannot be read"),
    ("mine.onnx", nothing, r"\.onnx.*no kind that is read here"),
]


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize(("name", "write", "way"), TOLD, ids=[f"{write.__name__}-{name}" for name, write, _ in TOLD])
def test_the_way_in_is_told(tmp_path, name, write, way):
    write(tmp_path / name)
    with pytest.raises(ModelError, match=way) as told:
        ex.load(str(tmp_path / name))
    assert str(tmp_path) not in str(told.value)


def test_nothing_in_a_file_is_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"weights": Runs()}, tmp_path / "mine.pth")
    with pytest.raises(ModelError, match="more than weights"):
        ex.load(str(tmp_path / "mine.pth"))
    assert not (tmp_path / "ran").exists()


def test_visitors_are_told_nothing_of_files(tmp_path):
    weights(tmp_path / "mine.pth")
    with pytest.raises(ModelError, match="public name"):
        ex.load(str(tmp_path / "mine.pth"), local=False)
