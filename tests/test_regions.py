"""Regions: every pixel belongs to one, labels have no gaps, and what looks alike stays together."""

import numpy as np
import pytest
from networks import photo

from explainers.ingredients import regions
from explainers.pictures import Framing, Picture

NOISE = np.random.default_rng(0).random((32, 48, 3))


def halves(height=40, width=60):
    """A dark and a bright half, and a small red square within the bright one."""
    pixels = np.full((height, width, 3), 0.1)
    pixels[:, width // 2 :] = 0.9
    pixels[10:20, 40:50] = 0.9, 0.1, 0.1
    return pixels


def without_gaps(labels):
    return np.array_equal(np.unique(labels), np.arange(labels.max() + 1))


def connected(labels):
    from scipy.ndimage import label

    return all(label(labels == i)[1] == 1 for i in range(labels.max() + 1))


def test_a_grid_is_counted_row_by_row_and_divides_evenly():
    assert regions.grid((2, 4), 2).tolist() == [[0, 0, 1, 1], [2, 2, 3, 3]]
    labels = regions.grid((5, 7), 3)
    assert labels.shape == (5, 7)
    assert labels.max() == 8
    sides = [np.bincount(labels[:, 0]), np.bincount(labels[0])]
    assert [s[s > 0].max() - s[s > 0].min() for s in sides] == [1, 1]


def test_a_grid_finer_than_the_picture_is_its_pixels():
    assert regions.grid((2, 3), 50).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert regions.grid((1, 1), 1).tolist() == [[0]]


@pytest.mark.parametrize("count", [1, 2, 20, 200])
def test_superpixels_are_about_as_many_as_asked_and_connected(count):
    for pixels in (halves(), NOISE):
        labels = regions.superpixels(pixels, count)
        assert labels.shape == pixels.shape[:2]
        assert without_gaps(labels)
        assert connected(labels)
        assert count / 2 <= labels.max() + 1 <= count * 1.5
        assert np.array_equal(regions.superpixels(pixels, count), labels)


def test_superpixels_keep_to_what_looks_alike():
    pixels = halves()
    labels = regions.superpixels(pixels, 12)
    for i in range(labels.max() + 1):
        reds, greens = pixels[labels == i, 0], pixels[labels == i, 1]
        inside = (reds > 0.5) & (greens < 0.5)
        # Of a piece on the border, a tenth may be of the other side.
        assert inside.mean() < 0.1 or inside.mean() > 0.9
        assert (reds > 0.5).mean() < 0.1 or (reds > 0.5).mean() > 0.9


def test_more_superpixels_than_pixels_are_as_many_as_pixels():
    labels = regions.superpixels(NOISE[:3, :4], 400)
    assert without_gaps(labels)
    assert labels.max() < 12
    assert regions.superpixels(NOISE[:1, :1], 5).tolist() == [[0]]


def test_segments_find_the_three_parts_of_a_plain_picture():
    pixels = halves()
    (labels,) = regions.segments(pixels, [1.0])
    assert without_gaps(labels)
    parts = [labels[5, 5], labels[30, 45], labels[15, 45]]
    assert len(set(parts)) == 3
    assert (labels[:, :27] == parts[0]).all()
    assert (labels[12:18, 42:48] == parts[2]).all()


def test_segments_get_fewer_and_larger_with_the_scale():
    frame = Framing(size=(224, 224), resize=256).frame(Picture.read(str(photo("goldfinch"))))
    pixels = frame.permute(1, 2, 0).numpy()
    found = list(regions.segments(pixels))
    counts = [labels.max() + 1 for labels in found]
    assert counts == sorted(counts, reverse=True)
    assert 100 < counts[0] < 400
    assert all(without_gaps(labels) for labels in found)
    again = list(regions.segments(pixels))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_a_plain_picture_is_one_segment():
    for labels in regions.segments(np.zeros((32, 48, 3))):
        assert labels.max() == 0
