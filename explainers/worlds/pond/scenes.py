"""What is in a pond picture: every factor of a scene, drawn from its own random stream, and how to change one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
"""Version of the world. Any change to a picture raises it, and asks for the networks to be trained again."""

SIDE = 96
"""Pixels of a side as the networks see a picture."""
MEAN = (0.165, 0.178, 0.195)
STD = (0.2, 0.19, 0.18)
"""Of the training pictures. A pixel at the mean is zero for a network; masked patches are filled with that."""

SPLITS = {"train": 0, "val": 1, "test": 2}
VARIANTS = 3
CLASSES = VARIANTS * VARIANTS
TAG_SHARE = 0.25
TAG_STYLES = 3
DUET_STREAM = 1 << 20
"""Duets draw from indices above every single scene, so that the two never share a stream."""

SHAPES = ("slipper", "three-lobed", "pillow")
TEXTURES = ("spotted", "banded", "netted")
NUCLEI = ("disc", "ring", "double")
APPENDAGES = ("flagellum", "cilia", "knobs")

_GENUS_A = ("Pyronella", "Cyclaria", "Gemmatula")
_SPECIES_A = ("flagellata", "ciliosa", "globifera")
_GENUS_B = ("Solenida", "Trilobella", "Pulvinaria")
_SPECIES_B = ("guttata", "fasciata", "reticulata")

LABELS_A = tuple(f"{genus} {species}" for genus in _GENUS_A for species in _SPECIES_A)
LABELS_B = tuple(f"{genus} {species}" for genus in _GENUS_B for species in _SPECIES_B)
DESCRIPTIONS_A = tuple(f"{nucleus} nucleus, {appendage}" for nucleus in NUCLEI for appendage in APPENDAGES)
DESCRIPTIONS_B = tuple(f"{shape} body, {texture}" for shape in SHAPES for texture in TEXTURES)

Slot = Literal["shape", "texture", "nucleus", "appendage"]
_T = TypeVar("_T")

PALETTES = 10
_SIZE = (0.17, 0.25)  # body radius as a share of the picture's side
_DUET_SIZE = (0.125, 0.155)
_FACTORS = (
    "shape",
    "texture",
    "nucleus",
    "appendage",
    "palette",
    "pose",
    "size",
    "ground",
    "debris",
    "light",
    "tag",
    "noise",
)


@dataclass(frozen=True)
class Creature:
    """One creature: four slots, and the pose that all of them share. Lengths are shares of the picture's side."""

    shape: int
    texture: int
    nucleus: int | None
    appendage: int | None
    x: float
    y: float
    radius: float
    angle: float
    seeds: tuple[int, int, int, int]
    """Details of shape, texture, nucleus and appendage: a slot can change without disturbing another."""

    @property
    def class_a(self) -> int:
        """Nucleus × appendage, 0–8; −1 where one of the two is absent."""
        if self.nucleus is None or self.appendage is None:
            return -1
        return VARIANTS * self.nucleus + self.appendage

    @property
    def class_b(self) -> int:
        """Shape × texture, 0–8."""
        return VARIANTS * self.shape + self.texture

    def target_a(self) -> NDArray[np.float32]:
        """Probabilities (9,): uniform over the classes that agree with the parts that are there."""
        table = np.ones((VARIANTS, VARIANTS), np.float32)
        if self.nucleus is not None:
            table *= (np.arange(VARIANTS) == self.nucleus)[:, None]
        if self.appendage is not None:
            table *= (np.arange(VARIANTS) == self.appendage)[None, :]
        shared: NDArray[np.float32] = table / table.sum()
        return shared.reshape(CLASSES)


@dataclass(frozen=True)
class Debris:
    """A loose bit, made of the same primitives and colours as the parts."""

    kind: int
    hue: int
    """0–2: a nucleus colour; 3: the creature's own colour."""
    x: float
    y: float
    radius: float
    angle: float
    blur: float
    """0: in focus; 1: its edge is as wide as the bit itself."""
    seed: int


@dataclass(frozen=True)
class Tag:
    """A scale-bar label in a corner: the shortcut that the cheater takes."""

    style: int
    corner: int
    text: int


@dataclass(frozen=True)
class Light:
    """Where the lamp stands and how strong it is."""

    x: float
    y: float
    gain: float
    vignette: float
    angle: float
    noise: float


@dataclass(frozen=True)
class Scene:
    """Everything that a picture shows; the same scene gives the same picture, to the bit."""

    split: str
    index: int
    creatures: tuple[Creature, ...]
    palette: int
    ground: int
    """Seed of the background."""
    debris: tuple[Debris | None, ...]
    """None where a bit was taken out, so that the others keep their numbers."""
    light: Light
    tag: Tag | None
    spare_tag: Tag
    """The tag that `with_tag` puts in: drawn for every scene, shown in some."""
    noise: int

    @property
    def class_a(self) -> int:
        """Nucleus × appendage of the first creature, 0–8; −1 where one of the two is absent."""
        return self.creatures[0].class_a

    @property
    def class_b(self) -> int:
        """Shape × texture of the first creature, 0–8."""
        return self.creatures[0].class_b

    @property
    def classes_a(self) -> tuple[int, ...]:
        """`class_a` of each creature."""
        return tuple(creature.class_a for creature in self.creatures)

    @property
    def target_a(self) -> NDArray[np.float32]:
        """Probabilities (9,) for "detail": shared between the creatures, uniform over what absent parts leave open."""
        targets = np.stack([creature.target_a() for creature in self.creatures])
        return np.asarray(targets.mean(0), np.float32)

    @property
    def target_b(self) -> NDArray[np.float32]:
        """Probabilities (9,) for "gestalt", which reads shape × texture: shared between the creatures."""
        counts = np.bincount([creature.class_b for creature in self.creatures], minlength=CLASSES)
        return np.asarray(counts / len(self.creatures), np.float32)

    @property
    def description(self) -> str:
        """What is there, in plain words."""
        words = " and ".join(_describe(creature) for creature in self.creatures)
        return f"{words}, with a scale bar" if self.tag else words

    def without(self, element: str) -> Scene:
        """The same scene with one element taken out: "nucleus", "appendage", "tag", "debris:0" and so on.

        In a duet "nucleus:1" and "appendage:1" name the parts of the second creature.
        """
        name, _, number = element.partition(":")
        which = int(number or 0)
        if name == "tag":
            return replace(self, tag=None)
        if name == "debris" and number and which < len(self.debris):
            return replace(self, debris=_put(self.debris, which, None))
        if name == "nucleus" and which < len(self.creatures):
            return self._with(which, replace(self.creatures[which], nucleus=None))
        if name == "appendage" and which < len(self.creatures):
            return self._with(which, replace(self.creatures[which], appendage=None))
        raise ValueError(f"A pond scene has no {element!r}; try nucleus, appendage, tag or debris:0.")

    def swapped(self, slot: str, to: int | None = None, *, creature: int = 0) -> Scene:
        """The same scene with another variant in one slot: `to`, or the next one."""
        if slot not in ("shape", "texture", "nucleus", "appendage"):
            raise ValueError(f"A pond creature has no slot {slot!r}; try shape, texture, nucleus or appendage.")
        now: int | None = getattr(self.creatures[creature], slot)
        variant = ((-1 if now is None else now) + 1 if to is None else to) % VARIANTS
        changed = {
            "shape": lambda c: replace(c, shape=variant),
            "texture": lambda c: replace(c, texture=variant),
            "nucleus": lambda c: replace(c, nucleus=variant),
            "appendage": lambda c: replace(c, appendage=variant),
        }[slot](self.creatures[creature])
        return self._with(creature, changed)

    def with_tag(self, style: int | None = None) -> Scene:
        """The same scene with a scale bar in a corner."""
        tag = self.spare_tag if style is None else replace(self.spare_tag, style=style % TAG_STYLES)
        return replace(self, tag=tag)

    def _with(self, which: int, creature: Creature) -> Scene:
        return replace(self, creatures=_put(self.creatures, which, creature))


def scene(split: str, index: int, *, tag: bool | None = None) -> Scene:
    """Scene number `index` of "train", "val" or "test"; `tag` forces the scale bar in or out."""
    rng = _streams(split, index)
    radius = float(rng["size"].uniform(*_SIZE))
    creature = _creature(rng, radius, _place(rng["pose"], radius), paired=False)
    return _scene(split, index, rng, (creature,), tag)


def duet(split: str, index: int, *, tag: bool | None = None) -> Scene:
    """Two smaller creatures of two different classes in one picture."""
    rng = _streams(split, index + DUET_STREAM)
    pose = rng["pose"]
    radii = [float(rng["size"].uniform(*_DUET_SIZE)) for _ in range(2)]
    turn = pose.uniform(0, 2 * np.pi)
    reach = pose.uniform(0.265, 0.3)
    # The square's diagonal leaves more room than its sides: stretch towards it.
    direction = np.array([np.cos(turn), np.sin(turn)])
    direction /= np.abs(direction).max() ** 0.6
    first = _creature(rng, radii[0], tuple(0.5 + reach * direction), paired=True)
    second = _creature(rng, radii[1], tuple(0.5 - reach * direction), paired=True)
    if first.class_a == second.class_a and first.nucleus is not None:
        second = replace(second, nucleus=(first.nucleus + 1 + int(rng["pose"].integers(2))) % VARIANTS)
    return _scene(split, index, rng, (first, second), tag)


def _scene(
    split: str, index: int, rng: dict[str, np.random.Generator], creatures: tuple[Creature, ...], tag: bool | None
) -> Scene:
    spare = Tag(*(int(n) for n in rng["tag"].integers((TAG_STYLES, 4, 3))))
    shown = bool(rng["tag"].uniform() < TAG_SHARE) if tag is None else tag
    light = rng["light"]
    return Scene(
        split=split,
        index=index,
        creatures=creatures,
        palette=int(rng["palette"].integers(PALETTES)),
        ground=_seed(rng["ground"]),
        debris=_debris(rng["debris"], creatures),
        light=Light(
            x=float(light.uniform(0.25, 0.75)),
            y=float(light.uniform(0.25, 0.75)),
            gain=float(light.uniform(0.88, 1.12)),
            vignette=float(light.uniform(0.35, 0.75)),
            angle=float(light.uniform(0, 2 * np.pi)),
            noise=float(light.uniform(0.6, 1.4)),
        ),
        tag=spare if shown else None,
        spare_tag=spare,
        noise=_seed(rng["noise"]),
    )


def _streams(split: str, index: int) -> dict[str, np.random.Generator]:
    """One independent generator per factor: to change how one is drawn leaves the others alone."""
    if split not in SPLITS:
        raise ValueError(f"The pond has no split {split!r}; try {', '.join(SPLITS)}.")
    children = np.random.default_rng([SCHEMA, SPLITS[split], index]).spawn(len(_FACTORS))
    return dict(zip(_FACTORS, children, strict=True))


def _creature(
    rng: dict[str, np.random.Generator], radius: float, place: tuple[float, ...], *, paired: bool
) -> Creature:
    pose = rng["pose"]
    x, y = float(place[0]), float(place[1])
    # Tails point roughly towards the middle of the picture, so that a flagellum is seen whole;
    # in a duet they point sideways, so that it does not lie on the neighbour.
    inward = np.arctan2(0.5 - y, 0.5 - x)
    spread = np.clip(np.pi * (1.15 - 2.2 * float(np.hypot(x - 0.5, y - 0.5)) / (0.5 - 1.45 * radius)), 0.7, np.pi)
    tail = inward + pose.uniform(-spread, spread)
    if paired:
        tail = inward + (0.45 + 0.12 * pose.uniform(-1, 1)) * np.pi * (1 if pose.uniform() < 0.5 else -1)
    return Creature(
        shape=int(rng["shape"].integers(VARIANTS)),
        texture=int(rng["texture"].integers(VARIANTS)),
        nucleus=int(rng["nucleus"].integers(VARIANTS)),
        appendage=int(rng["appendage"].integers(VARIANTS)),
        x=x,
        y=y,
        radius=radius,
        angle=float((tail + np.pi) % (2 * np.pi)),
        seeds=(_seed(rng["shape"]), _seed(rng["texture"]), _seed(rng["nucleus"]), _seed(rng["appendage"])),
    )


def _place(pose: np.random.Generator, radius: float) -> tuple[float, float]:
    room = 0.5 - 1.6 * radius
    return float(0.5 + pose.uniform(-room, room)), float(0.5 + pose.uniform(-room, room))


def _debris(rng: np.random.Generator, creatures: tuple[Creature, ...]) -> tuple[Debris, ...]:
    bits: list[Debris] = []
    for _ in range(int(rng.integers(3, 7))):
        radius = float(rng.uniform(0.018, 0.042))
        for _try in range(12):
            x, y = (float(p) for p in rng.uniform(0.04, 0.96, 2))
            clear = all(np.hypot(x - c.x, y - c.y) > 1.3 * c.radius + radius for c in creatures)
            if clear and all(np.hypot(x - b.x, y - b.y) > 2.2 * (radius + b.radius) for b in bits):
                break
        bits.append(
            Debris(
                kind=int(rng.integers(6)),
                hue=int(rng.choice(4, p=(0.17, 0.17, 0.17, 0.49))),
                x=x,
                y=y,
                radius=radius,
                angle=float(rng.uniform(0, 2 * np.pi)),
                blur=float(rng.choice((0.0, 0.25, 0.8), p=(0.5, 0.25, 0.25))),
                seed=_seed(rng),
            )
        )
    return tuple(bits)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 32))


def _put(items: tuple[_T, ...], which: int, item: _T) -> tuple[_T, ...]:
    return (*items[:which], item, *items[which + 1 :])


def _describe(creature: Creature) -> str:
    nucleus = "no nucleus" if creature.nucleus is None else f"{NUCLEI[creature.nucleus]} nucleus"
    appendage = "no appendage" if creature.appendage is None else APPENDAGES[creature.appendage]
    return f"{TEXTURES[creature.texture]} {SHAPES[creature.shape]} body, {nucleus}, {appendage}"
