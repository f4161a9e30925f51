"""The built-in world: the same picture each time, masks that are exact, factors that do not leak."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from explainers.worlds.pond import LABELS_A, Scene, duet, render, scene

DIGEST = (
    "import hashlib; from explainers.worlds.pond import duet, render, scene; "
    "print(hashlib.sha256(b''.join(render(s, n).pixels.tobytes() for n in (96, 192) "
    "for s in (scene('test', 3), scene('val', 3, tag=True), duet('train', 5)))).hexdigest())"
)


def drawn(count: int = 24) -> list[Scene]:
    """Singles and duets, with and without a tag."""
    return [duet("test", index) if index % 4 == 3 else scene("test", index) for index in range(count)]


def test_the_same_scene_gives_the_same_bytes_in_another_process() -> None:
    scenes = (scene("test", 3), scene("val", 3, tag=True), duet("train", 5))
    here = hashlib.sha256(b"".join(render(s, n).pixels.tobytes() for n in (96, 192) for s in scenes)).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert there == here


def test_splits_and_indices_give_different_pictures() -> None:
    scenes = [scene(split, index) for split in ("train", "val", "test") for index in range(5)]
    seen = {render(subject, 32).pixels.tobytes() for subject in scenes}
    assert len(seen) == 15


CHANGES = {
    "nucleus": lambda s: s.without("nucleus"),
    "appendage": lambda s: s.without("appendage"),
    "debris:0": lambda s: s.without("debris:0"),
    "tag": lambda s: s.without("tag") if s.tag else s.with_tag(),
    "body": lambda s: s.swapped("texture").swapped("shape"),
    "nucleus of another kind": lambda s: s.swapped("nucleus"),
    "appendage of another kind": lambda s: s.swapped("appendage", 2),
}


@pytest.mark.parametrize("size", [96, 150])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_leaves_every_pixel_outside_its_masks_alone(change: str, size: int) -> None:
    """Exact, without dilation: every edge has a finite reach."""
    slot = change.partition(" ")[0]
    changed_somewhere = False
    for before in drawn(12 if size == 96 else 4):
        old, new = render(before, size), render(CHANGES[change](before), size)
        none = np.zeros((size, size), bool)
        allowed = old.masks.get(slot, none) | new.masks.get(slot, none)
        differs = (old.pixels != new.pixels).any(axis=2)
        assert not (differs & ~allowed).any()
        changed_somewhere |= bool(differs.any())
    assert changed_somewhere


def test_masks_are_nested_and_disjoint_and_cover_the_picture() -> None:
    for subject in drawn():
        masks = dict(render(subject).masks)
        for name in [name for name in masks if name.startswith("nucleus")]:
            assert not (masks.pop(name) & ~masks[name.replace("nucleus", "body")]).any()
        assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()


def test_an_absent_part_has_no_mask_and_a_tag_is_the_cheaters_evidence() -> None:
    bare = scene("test", 0, tag=False).without("nucleus")
    assert "nucleus" not in render(bare).masks
    tagged = render(bare.with_tag(1))
    assert (tagged.evidence("cheater") == tagged.masks["tag"]).all()
    assert (tagged.evidence("detail") == tagged.masks["appendage"]).all()
    assert (render(bare).evidence("cheater") == render(bare).masks["appendage"]).all()


def test_parts_are_large_enough_for_a_map_of_12_by_12() -> None:
    rendered = [render(scene("test", index, tag=False)).masks for index in range(60)]
    # Of 144 cells 2 to 4, and 6 to 10.
    assert 0.015 < np.mean([masks["nucleus"].mean() for masks in rendered]) < 0.03
    assert 0.04 < np.mean([masks["appendage"].mean() for masks in rendered]) < 0.07


def test_layout_is_the_same_at_every_size() -> None:
    subject = scene("test", 8)
    small, large = render(subject, 96), render(subject, 384)
    for name, mask in small.masks.items():
        coarse = large.masks[name].reshape(96, 4, 96, 4).mean((1, 3))
        assert np.abs(coarse - mask).mean() < 0.05  # pixels on an outline are off by a half at most
    reduced = large.pixels.reshape(96, 4, 96, 4, 3).mean((1, 3))
    assert np.abs(reduced - small.pixels).mean() < 12  # of 255: as if every twentieth pixel were another


def test_classes_are_balanced_in_every_split() -> None:
    """Chi-squared with 8 degrees of freedom exceeds 20.09 in one fair draw of a hundred."""
    for split, count in (("train", 6000), ("val", 1000), ("test", 1000)):
        scenes = [scene(split, index) for index in range(count)]
        for labels in ([s.class_a for s in scenes], [s.class_b for s in scenes]):
            found = np.bincount(labels, minlength=9)
            assert ((found - count / 9) ** 2 / (count / 9)).sum() < 20.09


def test_targets_spread_over_what_absent_parts_leave_open() -> None:
    subject = scene("test", 1)
    assert subject.target_a.tolist() == np.eye(9)[subject.class_a].tolist()
    assert subject.without("nucleus").target_a.max() == pytest.approx(1 / 3)
    assert subject.without("nucleus").without("appendage").target_a == pytest.approx(np.full(9, 1 / 9))
    pair = duet("test", 1)
    assert sorted(np.flatnonzero(pair.target_a == 0.5)) == sorted(pair.classes_a)
    assert subject.without("nucleus").class_a == -1
    assert subject.target_b.tolist() == np.eye(9)[subject.class_b].tolist()
    assert pair.target_b.sum() == 1


def test_duets_show_two_different_classes() -> None:
    assert all(len(set(duet("train", index).classes_a)) == 2 for index in range(100))


def test_the_background_does_not_tell_the_class() -> None:
    """A linear probe on what lies around the creatures, on 6 × 6 cells; its place is filled with one colour.

    The nucleus has three kinds, so chance is 1 in 3; two standard errors of 300 pictures are allowed beside the 2 %.
    """
    features, nuclei = [], []
    rows, columns = (np.indices((48, 48)) + 0.5) / 48
    for index in range(900):
        subject = scene("train", index)
        creature = subject.creatures[0]
        ground = render(subject, 48).pixels.astype(np.float32)
        ground[np.hypot(columns - creature.x, rows - creature.y) < 2.3 * creature.radius] = 40
        features.append(ground.reshape(6, 8, 6, 8, 3).mean((1, 3)).ravel() / 64)
        nuclei.append(creature.nucleus)
    probe = LogisticRegression(C=0.01, max_iter=400).fit(features[:600], nuclei[:600])
    assert probe.score(features[600:], nuclei[600:]) <= 1 / 3 + 0.02 + 2 * (2 / 9 / 300) ** 0.5


def test_names_and_descriptions() -> None:
    assert len(set(LABELS_A)) == 9
    subject = scene("test", 0, tag=False)
    assert "nucleus" in subject.description
    assert "no appendage" in subject.without("appendage").description
    assert "scale bar" in subject.with_tag().description


def test_what_a_scene_lacks_is_said() -> None:
    with pytest.raises(ValueError, match="no split"):
        scene("holiday", 0)
    with pytest.raises(ValueError, match="debris:0"):
        scene("test", 0).without("tail")
    with pytest.raises(ValueError, match="no slot"):
        scene("test", 0).swapped("colour")
