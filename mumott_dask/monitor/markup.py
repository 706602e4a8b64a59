"""Pictures and words as HTML: what somebody else has named is always escaped."""

from __future__ import annotations

import io
from base64 import b64encode
from functools import cache
from html import escape
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .pictures import Compared, Picture

Palette = Literal["gouldian", "coolwarm"]

COLOURS = {"j": "#1f8bd0", "k": "#e0661b"}
"""Blue and vermilion, of a brightness that shows on white and on black."""

STYLE = """
.bk-clearfix { display: block; width: 100%; }
.wide { overflow-x: auto; }
th, td { padding: .15rem 1.2rem .15rem 0; text-align: left; white-space: nowrap; }
th { font-weight: 500; opacity: .7; }
.runs { max-height: 40vh; overflow: auto; }
.runs td:nth-child(2) { white-space: normal; min-width: 12rem; }
a { color: inherit; }
figure { margin: 0; }
.three { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem 1rem; }
@media (max-width: 800px) { .three { grid-template-columns: minmax(0, 1fr); } }
img { display: block; width: 100%; height: 260px; object-fit: contain; image-rendering: pixelated; }
img.stretched { object-fit: fill; }
figcaption { margin: .25rem 0; }
.bar { display: flex; gap: .5rem; align-items: center; font-size: .85em; }
.bar i { flex: 1; height: .55rem; border-radius: 2px; }
"""
"""Style of what is made here, and of tables."""


def png(steps: NDArray[np.uint8], palette: Palette = "gouldian") -> bytes:
    """An image (down, across) as a PNG in the 256 colours of a palette."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(steps))
    image.putpalette(_colours(palette))
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    return held.getvalue()


def image_html(
    picture: Picture,
    steps: NDArray[np.uint8],
    words: str,
    palette: Palette = "gouldian",
    stretched: bool = False,
) -> str:
    """An image (down, across) of a picture's values with its words, which are its alternative text as well.

    Parameters
    ----------
    picture : Picture
        Whose limits the colours run between.
    steps : (down, across) uint8
    words : str
    palette : str
    stretched : bool
        Whether the image fills the width that there is, whatever its sides.
    """
    source = b64encode(png(steps, palette)).decode()
    style = ' class="stretched"' if stretched else ""
    return (
        f'<figure><img{style} alt="{escape(words)}" src="data:image/png;base64,{source}">'
        f'<figcaption>{escape(words)}<div class="bar">{picture.low:.3g}'
        f'<i style="background: linear-gradient(90deg, {_gradient(palette)})"></i>{picture.high:.3g}</div>'
        f"</figcaption></figure>"
    )


def compared_html(compared: Compared, words: str, turned: bool, stretched: bool = False) -> str:
    """An image as measured, as reprojected, and the difference, side by side.

    Parameters
    ----------
    compared : Compared
    words : str
        What it is an image of.
    turned : bool
        Whether the first axis of the arrays runs across and the second up; else the first runs down.
    stretched : bool
        See `image_html`.
    """
    measured, difference = compared.measured, compared.difference
    reprojected = Picture.of(compared.reprojected, measured.low, measured.high)
    shown: list[tuple[Picture, str, Palette]] = [
        (measured, "as measured", "gouldian"),
        (reprojected, "as reprojected", "gouldian"),
        (difference, "measured less reprojected", "coolwarm"),
    ]
    figures = [
        image_html(each, each.steps.T[::-1] if turned else each.steps, f"{words}, {how}", palette, stretched)
        for each, how, palette in shown
    ]
    return f'<div class="three">{"".join(figures)}</div>'


def slice_html(volume: Picture, sides: tuple[int, ...], normal: str, share: float) -> str:
    """A slice through a tomogram with sides in pixels, across an axis, at a share of the way, 0 to 1."""
    across, up = (axis for axis in "xyz" if axis != normal)
    turned = volume.steps.transpose(["xyz".index(axis) for axis in (normal, up, across)])
    number = min(int(share * len(turned)), len(turned) - 1)
    place = ((number + 0.5) / len(turned) - 0.5) * sides["xyz".index(normal)]
    words = f"tomogram at {normal} = {place:+.1f} pixel from its middle, {across} across and {up} up"
    return image_html(volume, turned[number][::-1], words)


def load_palettes() -> None:
    """Import what pictures need, and look the palettes up."""
    png(np.zeros((1, 1), np.uint8))
    for palette in get_args(Palette):
        _gradient(palette)


@cache
def _colours(palette: Palette) -> bytes:
    return b"".join(bytes.fromhex(colour.removeprefix("#")) for colour in _hexadecimal(palette))


@cache
def _gradient(palette: Palette) -> str:
    return ", ".join(_hexadecimal(palette)[::15] + _hexadecimal(palette)[-1:])


def _hexadecimal(palette: Palette) -> list[str]:
    import colorcet  # which brings matplotlib

    return list(colorcet.palette[palette])
