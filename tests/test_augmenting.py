"""Augmentation: what is done is what is said, the same in every process, and every place is found again."""

import json
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from tolerance import close, rounding

from explainers.augmenting import (
    PRESETS,
    SWEEPS,
    TRANSFORMS,
    Action,
    Pipeline,
    Recipe,
    Step,
    carried_back,
    cut_mix,
    invertible,
    mix_up,
    mixing_code,
    timm_arguments,
    timm_code,
    torchvision_code,
    whereto,
)
from explainers.augmenting.seeded import BLOCK, Seeded, seeded_after
from explainers.errors import QuestionError

SIZE = (40, 56)
EVERYTHING = [
    *TRANSFORMS,
    *PRESETS,
    "timm(policy=original), rotation",
    "timm(policy=v0)",
    "noise(sigma=0.2), rotation, noise(sigma=0.1), perspective(p=1), jpeg, noise",
]


def smooth(size=SIZE, seed=1):
    """A picture (3, H, W) with structure, uint8."""
    noise = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(noise, size, mode="bicubic")[0].clamp(0, 1) * 255).to(torch.uint8)


PICTURE = smooth()


# What is done is what is said ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVERYTHING)
def test_a_recipe_gives_the_picture_again_bit_for_bit(text):
    ready, before = Pipeline.parse(text).at(SIZE), torch.get_rng_state()
    changed = 0
    for seed in range(200):
        picture, recipe = ready.sample(PICTURE, seed)
        assert torch.equal(recipe.replay(PICTURE), picture)
        if seed < 20:
            assert torch.equal(Recipe.from_json(json.dumps(json.loads(recipe.as_json()))).replay(PICTURE), picture)
            assert str(recipe)
        if torch.equal(picture, PICTURE):
            assert recipe.actions == () or "times" not in str(recipe)
        else:
            assert recipe.actions
            changed += 1
    assert changed
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")
@pytest.mark.parametrize("text", EVERYTHING)
def test_its_code_for_torchvision_runs_and_gives_the_same_picture(text):
    pipeline, made = Pipeline.parse(text), {}
    exec(torchvision_code(pipeline, SIZE), made)
    image, state = Image.fromarray(PICTURE.permute(1, 2, 0).numpy()), torch.get_rng_state()
    others = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        for seed in range(12):
            torch.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - what timm draws from
            trained_with = made["train"](image)
            assert torch.equal((trained_with * 255).round().to(torch.uint8), pipeline.sample(PICTURE, seed)[0])
    finally:
        torch.set_rng_state(state)
        random.setstate(others[0])
        np.random.set_state(others[1])  # noqa: NPY002


def test_another_process_gives_the_same_pictures():
    text = "classic"
    program = (
        "import sys, numpy as np, torch; from explainers.augmenting import Pipeline\n"
        "picture = torch.from_numpy(np.load(sys.argv[1])); torch.rand(7)\n"
        "np.save(sys.argv[2], torch.stack([p.sample(picture, s)[0] for p in "
        "(Pipeline.parse('classic, noise'), Pipeline.parse('rand_augment, aug_mix')) for s in range(3)]).numpy())"
    )
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        given, got = Path(folder) / "given.npy", Path(folder) / "got.npy"
        np.save(given, PICTURE.numpy())
        program = program.replace("'classic, noise'", repr(f"{PRESETS[text]}, noise"))
        subprocess.run([sys.executable, "-c", program, given, got], check=True, cwd=Path(__file__).parents[1])
        theirs = torch.from_numpy(np.load(got))
    ours = [
        Pipeline.parse(p).sample(PICTURE, s)[0]
        for p in (f"{PRESETS[text]}, noise", "rand_augment, aug_mix")
        for s in range(3)
    ]
    assert torch.equal(torch.stack(ours), theirs)


def test_people_who_draw_at_the_same_moment_do_not_disturb_each_other():
    pipeline = Pipeline.parse("rand_augment, noise")
    alone = [pipeline.sample(PICTURE, seed)[0] for seed in range(16)]
    found = {}

    def draw(first):
        for seed in range(first, 16, 4):
            found[seed] = pipeline.sample(PICTURE, seed)[0]

    threads = [threading.Thread(target=draw, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(alone[seed], found[seed]) for seed in range(16))


@pytest.mark.parametrize("words", [0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 5000])
def test_a_generator_is_found_again_by_its_seed_and_the_words_it_gave(words):
    with Seeded(3) as seeded:
        torch.rand(words)
        assert seeded.words == words
        ahead = torch.rand(40)
        assert seeded.words == words + 40
    with seeded_after(3, words):
        assert torch.equal(torch.rand(40), ahead)
    torch.manual_seed(3)
    torch.rand(words)
    assert torch.equal(torch.rand(40), ahead)


def test_the_words_of_a_recipe_are_what_was_done():
    recipe = Recipe((Action("rotate", {"angle": 13.0}), Action("posterize", {"bits": 5})))
    assert str(recipe) == "rotated by 13° counterclockwise, then posterized to 5 bits"
    assert str(Recipe()) == "left as it was"
    _, drawn = Pipeline.parse("rotation(degrees=0), posterize(bits=1, p=1), horizontal_flip(p=0)").sample(PICTURE, 0)
    assert str(drawn).endswith("posterized to 1 bit")


def test_every_transform_with_every_setting_at_its_ends_runs():
    for transform in TRANSFORMS.values():
        for setting in transform.settings:
            ends = setting.choices or (setting.minimum, setting.maximum)
            for end in ends:
                value = int(end) if setting.kind == "integer" else end
                values = {setting.name: value}
                low, high = setting.name, setting.name.replace("_from", "_to")
                if setting.name.endswith("_from"):
                    values[high] = max(value, transform.check({})[high])
                elif setting.name.endswith("_to"):
                    values[low.replace("_to", "_from")] = min(value, transform.check({})[low.replace("_to", "_from")])
                if "p" in transform.check({}) and setting.name != "p":
                    values["p"] = 1
                picture, recipe = Pipeline((Step(transform.name, values),)).sample(PICTURE, 0)
                assert picture.shape == PICTURE.shape
                assert torch.equal(recipe.replay(PICTURE), picture)


# As text and as data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVERYTHING)
def test_a_pipeline_is_text_and_data_and_comes_back(text):
    pipeline = Pipeline.parse(text)
    assert Pipeline.parse(str(pipeline)) == pipeline
    assert Pipeline.from_data(json.loads(json.dumps(pipeline.as_data()))) == pipeline


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "The pipeline is empty; name a transform, or a preset: classic"),
        ("   ", "pipeline is empty"),
        ("sharpen", "There is no transform “sharpen”; there are horizontal_flip, "),
        ("rotation(degrees=200)", "“degrees” of Rotation is a number from 0 to 180, not “200”"),
        ("posterize(bits=2.5)", "“bits” of Posterize is a whole number from 1 to 8, not “2.5”"),
        ("posterize(bits=True)", "whole number"),
        ("rotation(angle=3)", "Rotation has no setting “angle”; it has degrees, fill"),
        ("trivial_augment(p=1)", "TrivialAugmentWide has no setting “p”; it has none"),
        ("auto_augment(policy=mnist)", "one of imagenet, cifar10, svhn, not “mnist”"),
        ("blur(sigma_from=3, sigma_to=1)", "“sigma_from” of Blur is at most “sigma_to”, but 3 is above 1"),
        ("rotation(15)", "is no step of a pipeline; write it like rotation"),
        ("rotation(**x)", "is no step of a pipeline"),
        ("rotation(degrees=open())", "“degrees” of rotation is a number or a word"),
        ("__import__('os')", "is no step of a pipeline"),
        ("rotation(", "cannot be read as a pipeline"),
        ("1] + [2", "cannot be read as a pipeline"),
        ("rotation\0", "cannot be read as a pipeline"),
        ("(" * 400, "cannot be read as a pipeline"),
        ("rotation," * 400, "letters"),
        ("rotation," * 13, "at most 12 steps, this has 13"),
        ("rotation(degrees=nan)", "not “nan”"),
    ],
)
def test_what_is_no_pipeline_is_refused_in_words(text, words):
    with pytest.raises(QuestionError) as caught:
        Pipeline.parse(text)
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_recipe_with_an_unknown_action_is_refused_in_words():
    with pytest.raises(QuestionError, match="holds no action “melt”"):
        Recipe.from_json('[{"name": "melt"}]')


# The way back --------------------------------------------------------------------------------------------------------


def spot(x, y, size=SIZE, spread=1.6):
    """A bright spot around (x, y) on black."""
    rows, columns = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    bright = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * spread**2))
    return (bright * 255).to(torch.uint8).expand(3, *size).contiguous()


def middle_of(picture):
    """Where the brightness of a picture lies in the mean, as (x, y)."""
    bright = picture.float().mean(0)
    bright = torch.where(bright > 20, bright, 0.0)
    rows, columns = torch.meshgrid(
        torch.arange(bright.shape[0]) + 0.5, torch.arange(bright.shape[1]) + 0.5, indexing="ij"
    )
    return torch.stack([(bright * columns).sum(), (bright * rows).sum()]) / bright.sum()


def on_black(recipe):
    """The same recipe, with black for what comes in from outside; timm fills with gray, which would outshine a spot."""
    black = [
        Action("timm", {**a.values, "keywords": {**a.values["keywords"], "fillcolor": [0, 0, 0]}})
        if a.name == "timm"
        else a
        for a in recipe.actions
    ]
    return Recipe(tuple(black))


MOVES = [
    "horizontal_flip(p=1)",
    "vertical_flip(p=1)",
    "rotation(degrees=60)",
    "affine(degrees=20, translate=0.2, scale_from=0.8, scale_to=1.3, shear=20)",
    "perspective(distortion=0.5, p=1)",
    "resized_crop(scale_from=0.3, scale_to=0.8)",
    "rand_augment(num_ops=3, magnitude=15)",
    "trivial_augment",
    "timm(policy='rand-m9-n3')",
    "timm(policy=original)",
    "timm(policy=v0)",
    "vertical_flip(p=1), resized_crop(scale_from=0.5), rotation(degrees=30), perspective(p=1), horizontal_flip(p=1)",
]
TONES = {"invert", "solarize", "equalize", "autocontrast", "auto_contrast", "solarize_add"}
"""These move no spot, but where brightness is measured they seem to."""


@pytest.mark.parametrize("text", MOVES)
def test_a_known_spot_is_found_where_it_went_and_carried_back_to_where_it_was(text):
    ready, found = Pipeline.parse(text).at(SIZE), 0
    for seed in range(40):
        start = torch.tensor([(24.0, 16.0), (33.5, 25.0), (28.0, 20.5)][seed % 3])
        _, recipe = ready.sample(spot(*start.tolist()), seed)
        recipe = on_black(recipe)
        picture = recipe.replay(spot(*start.tolist()))
        there, seen = whereto(recipe, start, SIZE)
        inside = ((there > 7) & (there < torch.tensor([SIZE[1], SIZE[0]]) - 7)).all()
        if not (seen and inside) or TONES & {a.values.get("op", a.name) for a in recipe.actions} or picture.max() < 60:
            continue
        assert torch.allclose(middle_of(picture), there.float(), atol=0.75), recipe
        heat, known = carried_back(picture.float().mean(0), recipe, SIZE, grid=SIZE)
        x, y = (int(each) for each in start)
        if not known[y - 5 : y + 6, x - 5 : x + 6].all():
            continue  # a part of the spot is lost
        assert torch.allclose(middle_of(heat.expand(3, *SIZE)), start, atol=0.75), recipe
        assert known[int(start[1]), int(start[0])]
        found += 1
    assert found >= 8


@pytest.mark.parametrize(
    "text", ["resized_crop(scale_from=0.3, scale_to=0.5)", "affine(translate=0.4)", "rotation(degrees=45)"]
)
def test_what_a_transform_lost_is_masked_and_never_invented(text):
    """Heat 1 everywhere comes back as 1 where the place is still to be seen, and as 0, unknown, elsewhere."""
    shares = []
    for seed in range(10):
        _, recipe = Pipeline.parse(text).sample(PICTURE, seed)
        heat, known = carried_back(torch.ones(5, 7), recipe, SIZE, grid=SIZE)
        assert torch.equal(heat, known.float())
        shares.append(float(known.float().mean()))
    # At least .3 of the area is cropped to; (1 − .4)² = .36 of it stays after the widest shift; a turn by 45° loses .17
    # of a square, of this one more. The rest is for borders, where a place is known only as a whole.
    assert 0.2 < min(shares) < 0.9


def test_a_crop_knows_exactly_what_it_kept():
    cut = {"top": 10, "left": 14, "height": 20, "width": 28, "size": [40, 56], "interpolation": "bilinear"}
    recipe = Recipe((Action("resized_crop", cut),))
    ramp = torch.arange(56.0).expand(40, 56)  # over the treated picture, twice as fine as over the original
    heat, known = carried_back(ramp, recipe, SIZE, grid=SIZE)
    kept = torch.zeros(40, 56, dtype=torch.bool)
    kept[10:30, 14:42] = True
    assert torch.equal(known, kept)
    assert close(heat[15, 14:42], torch.arange(28) * 2 + 0.5, rounding(8, 56))


def test_what_left_the_picture_stays_lost_when_its_place_comes_back():
    out, back = ({"angle": 0.0, "translate": [by, 0], "scale": 1.0, "shear": [0.0, 0.0]} for by in (30, -30))
    recipe = Recipe((Action("affine", out), Action("affine", back)))
    points = torch.tensor([[10.0, 20.0], [40.0, 20.0]])
    places, seen = whereto(recipe, points, SIZE)
    assert close(places, points, rounding(16, points))
    assert seen.tolist() == [True, False]


def test_the_rim_that_is_blended_with_the_outside_is_not_known():
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    _, known = carried_back(torch.ones(4, 4), Recipe((Action("affine", still),)), SIZE, grid=SIZE)
    assert known[1:-1, 1:-1].all()
    assert known.sum() == (SIZE[0] - 2) * (SIZE[1] - 2)


def test_what_was_erased_is_not_known():
    recipe = Recipe((Action("horizontal_flip"), Action("erase", {"i": 0, "j": 0, "h": 40, "w": 20, "v": [0.0]})))
    _, known = carried_back(torch.ones(4, 4), recipe, SIZE, grid=SIZE)
    assert known[:, :36].all()
    assert not known[:, 36:].any()


def test_colors_move_nothing():
    _, recipe = Pipeline.parse("color_jitter, noise, blur, equalize(p=1), jpeg, grayscale(p=1)").sample(PICTURE, 0)
    heat = torch.rand(7, 8, generator=torch.Generator().manual_seed(0))
    same, known = carried_back(heat, recipe, SIZE, grid=(7, 8))
    assert close(same, heat, rounding(8))
    assert known.all()


def test_a_mixture_of_moved_copies_has_no_way_back():
    found = [invertible(Pipeline.parse("aug_mix").sample(PICTURE, seed)[1]) for seed in range(40)]
    assert not all(found)
    assert invertible(Pipeline.parse("classic").sample(PICTURE, 0)[1])


# Sweeps --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sweep", SWEEPS.values(), ids=lambda sweep: sweep.name)
def test_a_sweep_runs_from_end_to_end_and_does_nothing_where_it_is_neutral(sweep):
    values = sweep.values(9)
    assert values == sorted(values)
    assert (values[0], values[-1]) == (sweep.start, sweep.end)
    for value in values:
        recipe = sweep.recipe(value, SIZE, seed=1)
        picture = recipe.replay(PICTURE)
        assert picture.shape == PICTURE.shape
        assert torch.equal(sweep.recipe(value, SIZE, seed=1).replay(PICTURE), picture)
        assert str(recipe)
        if value == sweep.neutral or sweep.name == "nothing":
            assert torch.equal(picture, PICTURE)
    if sweep.random:
        assert str(sweep.recipe(values[4], SIZE, seed=1).actions) != str(sweep.recipe(values[4], SIZE, seed=2).actions)


def test_a_sweep_of_the_perspective_moves_the_spot_where_it_says():
    for seed in range(6):
        recipe = SWEEPS["perspective"].recipe(0.4, SIZE, seed)
        there, _ = whereto(recipe, torch.tensor([28.0, 20.0]), SIZE)
        assert torch.allclose(middle_of(recipe.replay(spot(28, 20))), there.float(), atol=0.75)


# Two pictures --------------------------------------------------------------------------------------------------------

FIRST, SECOND = torch.zeros(3, *SIZE), torch.ones(3, *SIZE)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.36, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("center", [(0.5, 0.5), (0.0, 1.0), (0.9, 0.2)])
def test_cut_mix_pastes_a_box_of_the_remaining_share(share, center):
    mixed = cut_mix(FIRST, SECOND, share=share, center=center)
    x0, y0, x1, y1 = mixed.box
    inside = torch.zeros(SIZE)
    inside[y0:y1, x0:x1] = 1
    assert torch.equal(mixed.pixels, inside.expand(3, *SIZE))
    assert mixed.share == pytest.approx(1 - float(inside.mean()))
    assert mixed.share == pytest.approx(share, abs=0.03)
    assert sum(mixed.label) == pytest.approx(1)


def test_cut_mix_and_mix_up_draw_as_torchvision_does():
    from torchvision.transforms import v2

    batch, state = torch.stack([FIRST, SECOND]), torch.get_rng_state()
    try:
        for seed in range(20):
            for ours, theirs in ((cut_mix, v2.CutMix), (mix_up, v2.MixUp)):
                torch.manual_seed(seed)
                pictures, labels = theirs(alpha=0.7, num_classes=2)(batch, torch.tensor([0, 1]))
                mixed = ours(FIRST, SECOND, alpha=0.7, seed=seed)
                assert torch.equal(mixed.pixels, pictures[0])
                assert mixed.share == pytest.approx(float(labels[0, 0]), abs=rounding(4))
    finally:
        torch.set_rng_state(state)


def test_mix_up_blends():
    mixed = mix_up(FIRST, SECOND, share=0.3)
    assert torch.allclose(mixed.pixels, torch.full_like(FIRST, 0.7))
    assert str(mixed) == "30% of the first picture and 70% of the second, blended"


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (lambda: cut_mix(FIRST, None), "CutMix takes two pictures, and this is one; give a second picture"),
        (lambda: mix_up(FIRST, None), "MixUp takes two pictures"),
        (lambda: mix_up(FIRST, SECOND, share=1.2), "a number from 0 to 1, not “1.2”"),
        (lambda: cut_mix(FIRST, SECOND, share=-0.1), "a number from 0 to 1, not “-0.1”"),
        (lambda: cut_mix(FIRST, SECOND, share=float("nan")), "a number from 0 to 1, not “nan”"),
        (lambda: cut_mix(FIRST, SECOND[:, :, :20]), "of one size, not 56 × 40 and 20 × 40 pixels"),
        (lambda: cut_mix(FIRST, SECOND, box=(0, 0, 57, 10)), "within the picture's 56 × 40 pixels, not 0, 0, 57, 10"),
        (lambda: mix_up(FIRST, SECOND, alpha=0), "“alpha” of MixUp is above 0"),
    ],
)
def test_what_cannot_be_mixed_is_refused_in_words(mix, words):
    with pytest.raises(QuestionError) as caught:
        mix()
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_the_code_that_mixes_batches_runs(kind):
    made = {}
    exec(mixing_code(kind, 5), made)
    pictures, shares = made["mix"](torch.rand(4, 3, 8, 8), torch.arange(4))
    assert pictures.shape == (4, 3, 8, 8)
    assert torch.allclose(shares.sum(1), torch.ones(4))


# timm ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVERYTHING)
def test_its_arguments_for_timm_run_and_say_what_is_left_out(text):
    made = {}
    pipeline = Pipeline.parse(text)
    code = timm_code(pipeline, SIZE)
    exec(code, made)
    image = Image.fromarray(PICTURE.permute(1, 2, 0).numpy())
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002 - what timm draws from
    try:
        twice = []
        for _ in range(2):
            torch.manual_seed(5)
            random.seed(5)
            np.random.seed(5)  # noqa: NPY002
            twice.append(made["train"](image))
    finally:
        torch.set_rng_state(states[0])
        random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002
    assert torch.equal(*twice)
    assert twice[0].shape == (3, *SIZE)
    for step in timm_arguments(pipeline, SIZE)[1]:
        assert f"has no place for {step}" in code


def test_timm_is_told_what_it_has_a_place_for():
    arguments, left_out = timm_arguments(Pipeline.parse("classic"), (224, 224))
    assert arguments["hflip"] == 0.5
    assert arguments["color_jitter"] == (0.2, 0.2, 0.2, 0.1)
    assert arguments["scale"] == (0.8, 1)
    assert left_out == ["rotation(degrees=15, fill=0)"]
    arguments, left_out = timm_arguments(Pipeline.parse("rand_augment"), (224, 224))
    assert arguments["auto_augment"] == "rand-m3-n2-inc1"
    assert not left_out
