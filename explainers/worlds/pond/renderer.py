"""How a scene becomes pixels and masks: a dark-field microscope in NumPy, the same to the bit each time.

Lengths are shares of the picture's side, so a scene keeps its layout at every size and only gains detail.
Every edge is a smoothstep of finite reach: an element's cover is exactly zero outside its mask, and lower layers are
cut where a higher one has cover. So taking a part out, or swapping it, changes nothing outside its mask.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scenes import Creature, Debris, Light, Scene, Tag, scene

Floats = NDArray[np.floating[Any]]  # float32 in fact: NumPy declares too wide what its functions return
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

_REACH = 2.3  # how far a creature's parts reach from its centre, in body radii
_NUCLEUS = 0.38  # nucleus radius, in body radii
_TURN = np.float32(2 * np.pi)


def _rgb(code: str) -> Floats:
    return np.array([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


# Ground in the dark, ground in the light, body in the dark, body in the light, glow. Rheinberg filters tint the ground.
_PALETTES = tuple(
    tuple(_rgb(code) for code in row.split())
    for row in (
        "02060a 0c2b3a 1d4a52 a8e0d4 3f8f96",  # lagoon
        "050308 23123a 3a2a55 cdb8ec 6a4fa0",  # violet
        "030303 16181b 33383d dfe6e6 66727a",  # silver
        "070402 2e1f0c 4d3d20 e6d3a0 8f7338",  # peat
        "020408 0a1c46 22406e a9ccf4 3d6fb8",  # night
        "020704 0c3322 224f35 b9e6b4 4a9662",  # moss
        "080204 3a0c1c 5a2a3a f0c2c0 a0505c",  # garnet
        "040506 1d2526 3f4f3c d9e8b8 78904e",  # duckweed
        "030509 121f30 4c3a34 f0cdb0 a5714e",  # amber on slate
        "020607 07302f 2a4a5a bfdcec 4a8aa0",  # ice on teal
    )
)
# A dark, a middle and a bright tone for each nucleus: red disc, blue ring, golden double.
_HUES = tuple(
    tuple(_rgb(code) for code in row.split())
    for row in ("6e0a12 e8303a ffb09a", "06287e 2b86f2 b4ecff", "7a3c02 f2a614 fff0a8")
)
_FULL = (slice(None), slice(None))


@dataclass(frozen=True)
class Rendering:
    """A picture and where each of its elements is."""

    pixels: NDArray[np.uint8]
    """(size, size, 3)."""
    masks: dict[str, Mask]
    """(size, size) each: "body", "nucleus" (inside the body), "appendage", "debris:0", …, "tag", "background".

    The nucleus lies within the body; all others are disjoint, and together with the background they cover the picture.
    An absent element has no mask. In a duet "body:1", "nucleus:1", "appendage:1" belong to the second creature.
    """

    def evidence(self, brain: str) -> Mask:
        """What a brain reads: the tag where the cheater sees one, nucleus and appendage otherwise."""
        if brain == "cheater" and "tag" in self.masks:
            return self.masks["tag"].copy()
        found = np.zeros_like(self.masks["background"])
        for name, mask in self.masks.items():
            if name.partition(":")[0] in ("nucleus", "appendage"):
                found |= mask
        return found


def render(scene: Scene, size: int = 96) -> Rendering:
    """The picture of a scene, `size` pixels square, with the mask of every element."""
    palette = _PALETTES[scene.palette]
    canvas = _ground(scene, palette, size)
    layers: list[tuple[str, Box, Floats, Floats]] = []  # bottom to top: name, where, cover, colour
    for number, bit in enumerate(scene.debris):
        if bit is not None:
            layers.append((f"debris:{number}", *_debris(bit, palette, size)))
    for number, creature in enumerate(scene.creatures):
        ending = f":{number}" if number else ""
        for name, box, cover, colour in _creature(creature, palette, scene.light, size):
            layers.append((name + ending, box, cover, colour))
    if scene.tag is not None:
        layers.append(("tag", *_tag(scene.tag, size)))

    masks = _masks(layers, size)
    for name, box, cover, colour in layers:
        seen = cover * masks[name][box]
        canvas[box] += seen[..., None] * (colour - canvas[box])
    pixels = _develop(canvas, scene, size)
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    covered = np.zeros((size, size), np.bool_)
    for mask in masks.values():
        covered |= mask
    return Rendering(pixels, {**masks, "background": ~covered})


def benchmark(count: int = 200, size: int = 96) -> float:
    """Pictures rendered in a second on one core."""
    started = time.perf_counter()
    for index in range(count):
        render(scene("test", index), size)
    return count / (time.perf_counter() - started)


def _masks(layers: list[tuple[str, Box, Floats, Floats]], size: int) -> dict[str, Mask]:
    """Where each layer may paint: its cover, less that of the layers above (a nucleus leaves its body whole)."""
    taken = np.zeros((size, size), np.bool_)
    masks: dict[str, Mask] = {}
    for name, box, cover, _ in reversed(layers):
        mask = np.zeros((size, size), np.bool_)
        mask[box] = (cover > 0) & ~taken[box]
        if not name.startswith("nucleus"):
            taken |= mask
        masks[name] = mask
    return masks


# ---------------------------------------------------------------------------------------------------- the ground


def _ground(scene: Scene, palette: tuple[Floats, ...], size: int) -> Floats:
    """Uneven light on water: clouds, discs far out of focus, motes, and the light that each creature scatters."""
    rng = np.random.default_rng(scene.ground)
    x, y = _grid(size)
    dark, light, _, bright, glow = palette
    clouds = 0.55 * _noise(rng, 4, size) + 0.3 * _noise(rng, 8, size) + 0.15 * _noise(rng, 18, size)
    lamp = _fade(np.hypot(x - scene.light.x, y - scene.light.y) / 0.95)
    level = np.clip(0.15 + 0.95 * lamp * (0.35 + 0.9 * clouds), 0, 1.4)
    canvas: Floats = dark + level[..., None] * (light - dark)
    canvas += (0.05 * lamp * np.clip(2.4 * clouds - 1.1, 0, 1))[..., None] * glow

    for _ in range(
        int(rng.integers(5, 11))
    ):  # discs far out of focus: bright towards the edge, as a ring aperture gives
        radius = float(rng.uniform(0.025, 0.085))
        box, u, v = _window(float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), radius * 1.25, size)
        away = np.hypot(u, v) / radius
        soft = float(rng.uniform(0.1, 0.3))
        disc = _edge(away - 1, soft) * (0.45 + 0.55 * _band(away - 0.86, 0.28))
        tint = bright if rng.uniform() < 0.45 else glow
        canvas[box] += (float(rng.uniform(0.05, 0.17)) * disc)[..., None] * tint
    pixel = 1 / size
    for _ in range(int(rng.integers(12, 30))):  # motes: points of scattered light
        radius = float(rng.uniform(0.0025, 0.006))
        wide = max(radius, 0.9 * pixel)
        box, u, v = _window(float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), 1.8 * wide, size)
        dot = _fade(np.hypot(u, v) / (1.8 * wide)) * (float(rng.uniform(0.2, 0.9)) * min(1.0, (radius / wide) ** 1.2))
        canvas[box] += dot[..., None] * bright
    for creature in scene.creatures:
        box, u, v = _window(creature.x, creature.y, 2.2 * creature.radius, size)
        halo = _fade(np.hypot(u, v) / (2.2 * creature.radius))
        canvas[box] += (0.2 * halo)[..., None] * glow
    return canvas


def _develop(canvas: Floats, scene: Scene, size: int) -> NDArray[np.uint8]:
    """Lamp, vignette, the sensor's shot noise and the colour noise of its filter mosaic; none knows the slots."""
    rng = np.random.default_rng(scene.noise)
    x, y = _grid(size)
    lamp = scene.light
    away = np.hypot(x - 0.5, y - 0.5)
    field = 1.14 * lamp.gain * (1 - lamp.vignette * np.clip(away - 0.18, 0, 1) ** 1.5)
    field *= 1 - 0.16 * np.clip(np.hypot(x - lamp.x, y - lamp.y) - 0.1, 0, 1)
    shot = rng.standard_normal((size, size, 1), np.float32)
    chroma = rng.standard_normal((size, size, 3), np.float32)
    lit = canvas * field[..., None]
    strength = np.sqrt(np.clip(lit, 0.01, 1)) * (0.030 * lamp.noise)
    lit += strength * (0.8 * shot + 0.55 * chroma)
    # A film-like shoulder: highlights roll off instead of clipping flat.
    lit = np.clip(lit, 0, 1.6)
    over = np.maximum(lit - 0.8, 0)
    lit = np.where(lit > 0.8, 0.8 + 0.25 * over / (0.25 + over), lit)
    return np.asarray(np.clip(lit, 0, 1) * 255 + 0.5).astype(np.uint8)


# --------------------------------------------------------------------------------------------------- the creature


def _creature(
    creature: Creature, palette: tuple[Floats, ...], light: Light, size: int
) -> list[tuple[str, Box, Floats, Floats]]:
    """Layers of one creature, bottom to top. Appendages spring from a common outline, whatever the body's shape."""
    box, dx, dy = _window(creature.x, creature.y, _REACH * creature.radius, size)
    cos, sin = float(np.cos(creature.angle)), float(np.sin(creature.angle))
    r = creature.radius
    u, v = (dx * cos + dy * sin) / r, (dy * cos - dx * sin) / r  # u: towards the head, v: across
    pixel = 1 / (size * r)
    lamp = light.angle - creature.angle
    layers = []
    if creature.appendage is not None:
        paint = (_flagella, _cilia, _knobs)[creature.appendage]
        rng = np.random.default_rng(creature.seeds[3])
        layers.append(("appendage", box, *paint(rng, u, v, pixel, palette)))
    layers.append(("body", box, *_body(creature, u, v, pixel, palette, lamp)))
    if creature.nucleus is not None:
        rng = np.random.default_rng(creature.seeds[2])
        shift = rng.uniform(-0.1, 0.1, 2)
        nu, nv = (u - float(shift[0])) / _NUCLEUS, (v - float(shift[1])) / _NUCLEUS
        layers.append(("nucleus", box, *_nucleus(rng, creature.nucleus, creature.nucleus, nu, nv, pixel / _NUCLEUS)))
    return layers


def _body(
    creature: Creature, u: Floats, v: Floats, pixel: float, palette: tuple[Floats, ...], lamp: float
) -> tuple[Floats, Floats]:
    """A translucent body: texture inside, membrane, and the bright rim that light from the side leaves."""
    rng = np.random.default_rng(creature.seeds[0])
    _, _, deep, bright, glow = palette
    away, around = np.hypot(u, v), np.arctan2(v, u).astype(np.float32)
    outline, slope = _outline(creature.shape, rng)
    place = around * np.float32(_STEPS / (2 * np.pi)) + np.float32(_STEPS / 2)
    rho = _look_up(outline, place)
    inside = (rho - away) / np.sqrt(1 + _look_up(slope, place) ** 2)  # depth below the membrane, in body radii
    cover = _edge(-inside, 1.3 * pixel)

    rng = np.random.default_rng(creature.seeds[1])
    tone, sparkle = (_spots, _bands, _net)[creature.texture](rng, u, v)
    grain = _lattice_noise(rng, 32, u * 6.5, v * 6.5)
    fine = _lattice_noise(rng, 32, u * 15 + 3, v * 15)
    tone = np.clip(tone + 0.3 * (grain - 0.5) + 0.22 * (fine - 0.5), 0, 1)

    side = 0.78 + 0.42 * np.cos(around - np.float32(lamp))  # the lamp stands a little to one side
    near = _fade(inside / 0.42)  # light gathers towards the edge
    shade = 0.16 + 0.5 * tone + 0.3 * near * side
    colour = deep + np.clip(shade, 0, 1)[..., None] * (bright - deep)
    colour = colour * (0.62 + 0.3 * near + 0.16 * (1 - near))[..., None]
    colour += (0.34 * near * near * side)[..., None] * glow
    colour += (0.55 * sparkle)[..., None] * bright
    # Vacuoles: small clear bubbles, dark within, a thin bright wall.
    for _ in range(int(rng.integers(3, 7))):
        turn, far = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.5, 0.68))
        radius = float(rng.uniform(0.05, 0.1))
        bubble = np.hypot(u - far * 1.1 * float(np.cos(turn)), v - far * 0.9 * float(np.sin(turn))) - np.float32(radius)
        colour *= (1 - 0.5 * _edge(bubble, pixel))[..., None]
        colour += (0.5 * _line(bubble, 0.03, pixel))[..., None] * bright
    rim = _line(inside - 0.055, 0.075, pixel)
    second = _line(inside - 0.17, 0.03, pixel)
    lifted = np.clip(rim * side + 0.28 * second * side, 0, 1)[..., None]
    highlight = 0.35 + 0.65 * bright
    colour = colour + lifted * (highlight - colour)
    return cover * (0.84 + 0.16 * np.clip(rim, 0, 1)), colour.astype(np.float32, copy=False)


_STEPS = 512


def _outline(shape: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Distance of the membrane from the centre over a full turn, and its relative slope: (_STEPS + 1,) each."""
    turn = np.linspace(-np.pi, np.pi, _STEPS + 1)
    cos, sin = np.cos(turn), np.sin(turn)
    if shape == 0:
        rho = (np.abs(cos / 1.24) ** 2 + np.abs(sin / 0.8) ** 2) ** -0.5 * (1 - 0.05 * cos)
    elif shape == 1:
        rho = 1.02 + 0.15 * np.cos(3 * turn) - 0.02 * np.cos(6 * turn)
    else:
        rho = (np.abs(cos / 1.1) ** 5 + np.abs(sin / 0.84) ** 5) ** -0.2
    for wave in (2, 3, 5):
        rho = rho + rng.uniform(-0.018, 0.018) * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    slope = np.gradient(rho, turn) / rho
    return rho.astype(np.float32), slope.astype(np.float32)


def _spots(rng: np.random.Generator, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Granules on a loose hexagonal lattice, each with a point of light."""
    pitch = float(rng.uniform(0.24, 0.29))
    u, v = _warp(rng, u, v, 0.16)
    wave = _TURN / np.float32(pitch)

    def lattice(a: Floats, b: Floats) -> Floats:
        one, two = wave * a, wave * (0.5 * a + 0.8660254 * b)
        return np.asarray((np.cos(one) + np.cos(two) + np.cos(two - one) + 1.5) / 4.5)

    height = lattice(u, v)
    tone = _ramp(height, 0.42, 0.62)
    lit = _ramp(lattice(u + np.float32(0.16 * pitch), v + np.float32(0.16 * pitch)), 0.72, 0.95)
    return 0.08 + 0.85 * tone, 0.35 * lit * tone


def _bands(rng: np.random.Generator, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Broad bands across the body, finely striated along."""
    pitch = float(rng.uniform(0.4, 0.5))
    lean = float(rng.uniform(-0.4, 0.4))
    u, v = _warp(rng, u, v, 0.12)
    phase = _TURN * (u + np.float32(lean) * v) / np.float32(pitch) + np.float32(rng.uniform(0, 6))
    tone = _ramp(np.sin(phase), -0.25, 0.25)
    ribs = 0.5 + 0.5 * np.sin(_TURN * v / np.float32(0.085))
    crest = _ramp(np.sin(phase), 0.1, 0.35) * (1 - _ramp(np.sin(phase), 0.4, 0.7))
    return 0.05 + 0.72 * tone + 0.22 * tone * (ribs - 0.5), 0.3 * crest


def _net(rng: np.random.Generator, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Threads between clear chambers, as in foamy plasm."""
    u, v = _warp(rng, u, v, 0.1)
    first = _lattice_noise(rng, 32, u * 3.4, v * 3.4)
    second = _lattice_noise(rng, 32, u * 3.4 + 9, v * 3.4 + 5)
    thread = np.maximum(1 - np.abs(first - 0.5) * 7, 1 - np.abs(second - 0.5) * 7).clip(0, 1)
    return 0.1 + 0.75 * _ramp(thread, 0.1, 0.8), 0.35 * _ramp(thread, 0.8, 1.0)


def _warp(rng: np.random.Generator, u: Floats, v: Floats, by: float) -> tuple[Floats, Floats]:
    """Bend the plane a little: nothing alive is ruled with a ruler."""
    a = _lattice_noise(rng, 32, u * 1.6, v * 1.6) - 0.5
    b = _lattice_noise(rng, 32, u * 1.6, v * 1.6 + 11) - 0.5
    return u + np.float32(by) * a, v + np.float32(by) * b


def _nucleus(
    rng: np.random.Generator, kind: int, hue: int, u: Floats, v: Floats, pixel: float
) -> tuple[Floats, Floats]:
    """A stained nucleus in units of its own radius: a ball, a torus, or two balls."""
    mottle = _lattice_noise(rng, 16, u * 3.1, v * 3.1)
    if kind == 2:
        turn, gap = float(rng.uniform(0, 2 * np.pi)), 0.6
        along, across = (
            u * float(np.cos(turn)) + v * float(np.sin(turn)),
            v * float(np.cos(turn)) - u * float(np.sin(turn)),
        )
        pu, pv = np.abs(along) - np.float32(gap), across
        away = np.hypot(pu, pv) / np.float32(0.62)
        glint = np.hypot(along - np.sign(along) * np.float32(gap) + 0.18, across + 0.2) / np.float32(0.62)
        return _ball(away, glint, mottle, hue, pixel / 0.62)
    away = np.hypot(u, v)
    if kind == 0:
        return _ball(away, np.hypot(u + 0.3, v + 0.34), mottle, hue, pixel)
    dark, middle, bright = _HUES[hue]
    tube = np.abs(away - 0.74) / np.float32(0.27)  # 0 on the ring's ridge, 1 at its walls
    wall = _edge(away - 1.01, 1.3 * pixel)
    ring = _edge(tube - 1, 4.8 * pixel)
    round_ = np.sqrt(np.clip(1 - tube * tube, 0, 1))
    shade = np.clip(0.22 + 0.62 * round_ + 0.35 * (mottle - 0.5), 0, 1)
    colour = dark + shade[..., None] * (middle - dark)
    lit = np.clip(-(u + v) / np.float32(1.3), 0, 1) * _ramp(round_, 0.75, 1.0) + 0.45 * _line(
        tube - 0.86, 0.22, 3.7 * pixel
    )
    colour = colour + (0.75 * np.clip(lit, 0, 1))[..., None] * (bright - colour)
    # Within the ring only a faint stain is left: the body shows through.
    return wall * (0.22 + 0.74 * ring), np.where(ring[..., None] > 0, colour, dark)


def _ball(away: Floats, glint: Floats, mottle: Floats, hue: int, pixel: float) -> tuple[Floats, Floats]:
    dark, middle, bright = _HUES[hue]
    cover = _edge(away - 1, 1.3 * pixel)
    dome = np.sqrt(np.clip(1 - away * away, 0, 1))
    grains = _ramp(mottle, 0.45, 0.62)
    shade = np.clip(0.2 + 0.72 * dome - 0.3 * grains * dome, 0, 1)
    colour = dark + shade[..., None] * (middle - dark)
    lit = 0.85 * _fade(glint / 0.6) + 0.6 * _line(away - 0.9, 0.12, pixel)
    colour = colour + np.clip(lit, 0, 1)[..., None] * (bright - colour)
    return 0.95 * cover, colour


def _flagella(
    rng: np.random.Generator, u: Floats, v: Floats, pixel: float, palette: tuple[Floats, ...]
) -> tuple[Floats, Floats]:
    """Three whips from the tail, each in a fringe of fine hairs."""
    _, _, deep, bright, _ = palette
    down = (-u - np.float32(0.55)) / np.float32(1.6)  # 0 at the root, 1 at the tip
    step = np.clip(down, 0, 1)
    reach = _edge(-down, 0.02) * _edge(down - 1, 0.06)
    cover, level = np.zeros_like(u), np.zeros_like(u)
    for lane in (-1, 0, 1):
        spread = lane * float(rng.uniform(0.34, 0.46))
        sway, waves, phase = (
            float(rng.uniform(0.1, 0.17)),
            float(rng.uniform(1.1, 1.7)),
            float(rng.uniform(0, 2 * np.pi)),
        )
        angle = _TURN * np.float32(waves) * step + np.float32(phase)
        middle = np.float32(0.22 * lane) + np.float32(spread) * step + np.float32(sway) * np.sin(angle) * (0.25 + step)
        lean = np.float32(spread / 1.6) + np.float32(sway * 2 * np.pi * waves / 1.6) * np.cos(angle) * (0.25 + step)
        off = np.abs(v - middle) / np.sqrt(1 + lean * lean)
        core = np.float32(0.072) * (1 - 0.55 * step)
        fringe = np.float32(0.165) * (1 - 0.5 * step)
        hairs = 0.5 + 0.5 * np.cos(_TURN * (u * np.float32(9.5) - off * np.float32(5)))
        thread = _edge(off - core, max(1.3 * pixel, 0.02))
        sheath = _edge(off - fringe, max(1.3 * pixel, 0.05)) * (0.42 + 0.3 * _ramp(hairs, 0.4, 0.8))
        here = np.maximum(thread * 0.95, sheath) * reach
        light = thread * (0.62 + 0.38 * np.clip(off / core, 0, 1)) + (1 - thread) * (0.3 + 0.3 * _ramp(hairs, 0.4, 0.8))
        level = np.where(here > cover, light, level)
        cover = np.maximum(cover, here)
    return cover, _tinted(level * (1 - 0.3 * step), deep, bright)


def _cilia(
    rng: np.random.Generator, u: Floats, v: Floats, pixel: float, palette: tuple[Floats, ...]
) -> tuple[Floats, Floats]:
    """A coat of tapered, slightly bent hairs all around."""
    _, _, deep, bright, _ = palette
    count = int(rng.integers(22, 27))
    eu, ev = u / np.float32(1.12), v / np.float32(0.94)
    away = np.hypot(eu, ev)
    bend = float(rng.uniform(0.16, 0.34)) * (1 if rng.uniform() < 0.5 else -1)
    turn = np.arctan2(ev, eu).astype(np.float32) + np.float32(bend) * (away - 1) ** 2 * np.float32(3)
    place = (turn / _TURN) % 1 * np.float32(count)
    which = np.minimum(place.astype(np.int32), count - 1)
    off = (place - which - np.float32(0.5) - _take(rng.uniform(-0.16, 0.16, count), which)) / np.float32(count)
    across = np.abs(off) * _TURN * away
    tip = _take(rng.uniform(1.38, 1.54, count), which)
    along = np.clip((away - 0.72) / (tip - 0.72), 0, 1)
    half = np.float32(0.05) * (1 - along) ** np.float32(0.6) + np.float32(0.012)
    soft = max(1.3 * pixel, 0.02)
    cover = _edge(across - half, soft) * _edge(away - tip, max(1.5 * pixel, 0.05)) * (away > 0.6)
    level = (0.42 + 0.5 * np.clip(across / half, 0, 1)) * (1 - 0.35 * along)
    return (cover * (0.95 - 0.35 * along)).astype(np.float32, copy=False), _tinted(level, deep, bright)


def _knobs(
    rng: np.random.Generator, u: Floats, v: Floats, pixel: float, palette: tuple[Floats, ...]
) -> tuple[Floats, Floats]:
    """Clear bulbs on short stalks."""
    _, _, deep, bright, _ = palette
    count = int(rng.integers(6, 8))
    first = float(rng.uniform(0, 2 * np.pi))
    eu, ev = u / np.float32(1.1), v / np.float32(0.96)
    turn = (np.arctan2(ev, eu).astype(np.float32) - np.float32(first)) / _TURN % 1
    which = np.minimum((turn * np.float32(count)).astype(np.int32), count - 1)
    angle = first + (np.arange(count) + 0.5 + rng.uniform(-0.12, 0.12, count)) * 2 * np.pi / count
    reach, radius = rng.uniform(1.27, 1.36, count), rng.uniform(0.175, 0.235, count)
    cu, cv = _take(reach * np.cos(angle), which), _take(reach * np.sin(angle), which)
    size = _take(radius, which)
    away = np.hypot(eu - cu, ev - cv) / size
    cover = _edge(away - 1, 1.3 * pixel / 0.2)
    cos, sin = _take(np.cos(angle), which), _take(np.sin(angle), which)
    across, along = np.abs(ev * cos - eu * sin), eu * cos + ev * sin
    stalk = _edge(across - 0.05, max(1.3 * pixel, 0.02)) * (along > 0.6) * (along < 1.25) * (cover < 1)
    inner = np.sqrt(np.clip(1 - away * away, 0, 1))
    level = 0.3 + 0.25 * (1 - inner) + 0.6 * _line(away - 0.86, 0.2, pixel / 0.2)
    level = level + 0.7 * _fade(np.hypot(eu - cu + 0.07, ev - cv + 0.07) / np.float32(0.085))
    level = np.where(cover > 0, level, 0.5)
    opacity = np.maximum(cover * (0.72 + 0.26 * (1 - inner)), 0.8 * stalk)
    return opacity.astype(np.float32, copy=False), _tinted(np.clip(level, 0, 1.1), deep, bright)


def _tinted(level: Floats, deep: Floats, bright: Floats) -> Floats:
    return (0.7 * deep + level[..., None] * (bright - 0.7 * deep)).astype(np.float32, copy=False)


# ------------------------------------------------------------------------------------------------- debris and tags


def _debris(bit: Debris, palette: tuple[Floats, ...], size: int) -> tuple[Box, Floats, Floats]:
    """A stray bit: a lone disc, ring or double, or a torn whip, bristle or bulb; some out of focus."""
    rng = np.random.default_rng(bit.seed)
    box, dx, dy = _window(bit.x, bit.y, 2.1 * bit.radius, size)
    cos, sin = float(np.cos(bit.angle)), float(np.sin(bit.angle))
    u, v = (dx * cos + dy * sin) / bit.radius, (dy * cos - dx * sin) / bit.radius
    pixel = 1 / (size * bit.radius)
    dark, middle, light = (
        _HUES[bit.hue] if bit.hue < 3 else (palette[2], 0.4 * palette[4] + 0.5 * palette[3], palette[3])
    )
    soft = max(1.3 * pixel, bit.blur)
    away = np.hypot(u, v)
    if bit.kind == 0:
        off = away - 0.9
    elif bit.kind == 1:
        off = np.abs(away - 0.8) - np.float32(0.22)
    elif bit.kind == 2:
        off = np.hypot(np.abs(u) - np.float32(0.62), v) - np.float32(0.58)
    elif bit.kind == 3:
        curl = np.float32(0.45) * np.sin(u * np.float32(rng.uniform(2.4, 3.2)) + np.float32(rng.uniform(0, 6)))
        off = np.maximum(np.abs(v - curl) * np.float32(0.75) - np.float32(0.17), np.abs(u) - np.float32(1.7))
    elif bit.kind == 4:
        off = np.maximum(np.abs(v) - np.float32(0.24) * (1 - 0.25 * u), np.abs(u) - np.float32(1.5))
    else:
        off = np.minimum(away - 0.62, np.maximum(np.abs(v) - np.float32(0.16), np.abs(u - 0.9) - np.float32(0.8)))
    cover = _edge(off, soft) * (1 - 0.45 * bit.blur) * _edge(np.maximum(np.abs(dx), np.abs(dy)) / bit.radius - 2, 0.15)
    depth = np.clip(-off / 0.45, 0, 1)
    shade = 0.35 + 0.6 * depth
    colour = dark + shade[..., None] * (middle - dark)
    lit = 0.55 * _line(off + 0.16, 0.2, soft) + 0.6 * _fade(np.hypot(u + 0.25, v + 0.25) / 0.4) * (off < 0)
    colour = colour + np.clip(lit, 0, 1)[..., None] * (light - colour)
    return box, (0.88 * cover).astype(np.float32, copy=False), colour.astype(np.float32, copy=False)


# Strokes of the label's letters in a cell 4 wide and 6 high, y downwards.
_GLYPHS = {
    "0": ((0.3, 0, 2.7, 0), (2.7, 0, 2.7, 6), (2.7, 6, 0.3, 6), (0.3, 6, 0.3, 0)),
    "1": ((0.4, 1.3, 1.7, 0), (1.7, 0, 1.7, 6)),
    "2": ((0.2, 0, 2.8, 0), (2.8, 0, 2.8, 2.7), (2.8, 2.7, 0.2, 6), (0.2, 6, 2.9, 6)),
    "5": ((2.8, 0, 0.3, 0), (0.3, 0, 0.3, 2.6), (0.3, 2.6, 2.7, 2.6), (2.7, 2.6, 2.7, 6), (2.7, 6, 0.2, 6)),
    "µ": ((0.3, 2, 0.3, 7.6), (0.3, 6, 2.7, 6), (2.7, 2, 2.7, 6)),
    "m": ((0, 2, 0, 6), (0, 2, 3.4, 2), (1.7, 2, 1.7, 6), (3.4, 2, 3.4, 6)),
}
_TEXTS = ("10µm", "20µm", "50µm")
_TAG = (0.27, 0.155)  # width and height, as shares of the side


def _tag(tag: Tag, size: int) -> tuple[Box, Floats, Floats]:
    """A scale bar in a corner: white on a dark plate, black on a light one, or white on a smoked strip."""
    wide, high = _TAG
    left = 0.02 if tag.corner % 2 == 0 else 0.98 - wide
    top = 0.02 if tag.corner < 2 else 0.98 - high
    rows, columns = (
        slice(max(0, int(np.floor(a * size))), int(np.ceil(b * size)))
        for a, b in ((top, top + high), (left, left + wide))
    )
    x, y = _grid(size)
    x, y = x[:, columns] - np.float32(left), y[rows] - np.float32(top)
    pixel = 1 / size
    unit = 0.0112  # one unit of the letters' cell
    thick = 0.62 * unit
    ink = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    start = 0.03
    for letter in _TEXTS[tag.text]:
        for x0, y0, x1, y1 in _GLYPHS[letter]:
            stroke = (start + x0 * unit, 0.03 + y0 * unit, start + x1 * unit, 0.03 + y1 * unit)
            ink = np.maximum(ink, _edge(_segment(x, y, stroke) - thick, pixel))
        start += unit * (4.6 if letter != "1" else 3.6)
    length = (0.15, 0.185, 0.21)[tag.text]
    bar = np.maximum(
        np.abs(x - np.float32(0.03 + length / 2)) - np.float32(length / 2), np.abs(y - 0.127) - np.float32(0.009)
    )
    ink = np.maximum(ink, _edge(bar, pixel))
    plate = np.maximum(np.abs(x - wide / 2) - np.float32(wide / 2), np.abs(y - high / 2) - np.float32(high / 2))
    cover = _edge(plate + 0.5 * pixel, pixel)
    paper, letters, opacity = ((0.015, 0.96, 0.96), (0.86, 0.04, 0.96), (0.10, 1.0, 0.62))[tag.style]
    colour = np.float32(paper) + ink[..., None] * np.float32(letters - paper) * np.ones(3, np.float32)
    return (rows, columns), cover * np.maximum(np.float32(opacity), ink), colour


def _segment(x: Floats, y: Floats, stroke: tuple[float, float, float, float]) -> Floats:
    x0, y0, x1, y1 = (np.float32(p) for p in stroke)
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - x0 - along * dx, y - y0 - along * dy)


# ---------------------------------------------------------------------------------------------- brushes and noises


@lru_cache(maxsize=8)
def _grid(size: int) -> tuple[Floats, Floats]:
    """Pixel centres: x (1, size), y (size, 1)."""
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[None, :], line[:, None]


def _window(x: float, y: float, reach: float, size: int) -> tuple[Box, Floats, Floats]:
    """The part of the picture within `reach` of a point, and the offsets from that point there."""
    rows, columns = (
        slice(max(0, int(np.floor((p - reach) * size))), max(0, min(size, int(np.ceil((p + reach) * size)) + 1)))
        for p in (y, x)
    )
    gx, gy = _grid(size)
    dx, dy = np.broadcast_arrays(gx[:, columns] - np.float32(x), gy[rows] - np.float32(y))
    return (rows, columns), dx, dy


def _ramp(x: Floats, low: float, high: float) -> Floats:
    """Smoothstep: exactly 0 up to `low`, exactly 1 from `high`."""
    t = np.clip((x - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _edge(distance: Floats, width: float) -> Floats:
    """Cover of what lies at negative distance, with an edge `width` wide."""
    return 1 - _ramp(distance, -width / 2, width / 2)


def _line(distance: Floats, width: float, pixel: float) -> Floats:
    """A soft line where distance is 0; fainter, not thinner, than a pixel."""
    wide = max(width, 1.6 * pixel)
    return _fade(np.abs(distance) / np.float32(wide)) * np.float32(width / wide)


def _band(distance: Floats, width: float) -> Floats:
    return _fade(np.abs(distance) / np.float32(width))


def _fade(x: Floats) -> Floats:
    """1 at 0, falling smoothly to exactly 0 at 1."""
    return 1 - _ramp(x, 0, 1)


def _take(table: NDArray[np.float64], which: NDArray[np.int32]) -> Floats:
    return table.astype(np.float32)[which]


def _look_up(table: Floats, place: Floats) -> Floats:
    """Linear interpolation in an evenly spaced table."""
    first = np.clip(place.astype(np.int32), 0, len(table) - 2)
    return table[first] + (place - first) * (table[first + 1] - table[first])


def _noise(rng: np.random.Generator, cells: int, size: int) -> Floats:
    """Smooth noise in 0–1 over the whole picture, (size, size), as fine as `cells` a side."""
    grid = rng.random((cells + 3, cells + 3), np.float32)
    first, weights = _spline(cells, size)
    rows = np.zeros((size, cells + 3), np.float32)
    noise = np.zeros((size, size), np.float32)
    for k, weight in enumerate(weights):
        rows += weight[:, None] * grid[first + k]
    for k, weight in enumerate(weights):
        noise += weight[None, :] * rows[:, first + k]
    return noise


@lru_cache(maxsize=32)
def _spline(cells: int, size: int) -> tuple[NDArray[np.int64], list[Floats]]:
    """Cubic B-spline taps. Sums of products, not matrix products: those depend on the number of threads."""
    place = (np.arange(size) + 0.5) / size * cells
    first = np.floor(place).astype(np.int64)
    t = place - first
    taps = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return first, [(tap / 6).astype(np.float32) for tap in taps]


def _lattice_noise(rng: np.random.Generator, cells: int, x: Floats, y: Floats) -> Floats:
    """Value noise in 0–1 at any points; its lattice repeats after `cells` units (a power of two)."""
    table = rng.random((cells, cells), np.float32).ravel()
    left, top = np.floor(x), np.floor(y)
    tx, ty = x - left, y - top
    tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
    i, j = left.astype(np.int32), top.astype(np.int32)
    last = cells - 1
    row, below = (j & last) * cells, ((j + 1) & last) * cells
    i, right = i & last, (i + 1) & last
    upper = table[row + i] + tx * (table[row + right] - table[row + i])
    lower = table[below + i] + tx * (table[below + right] - table[below + i])
    return np.asarray(upper + ty * (lower - upper))
