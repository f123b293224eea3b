"""Whatever a `draw` returns, as one small lossless picture with its alt text and caption."""

import io
import sys
from dataclasses import dataclass

import numpy as np
from PIL import Image

DPI = 150  # a figure of 9.6 inches has as many pixels as a widget on a projector of 1920
SMALLEST = 640  # pixels: an image of 28 x 28 is shown in whole blocks of at least this height
LEGIBLE = 12 / (13 * DPI / 72)  # at this scale, the 13 points of the course's figures are 12 pixels of the screen


@dataclass(frozen=True)
class Frame:
    """A picture as lossless WebP (half the bytes of a PNG), its size in pixels, and what it says.

    Shown narrower than `legible` pixels, its type is too small to be read; 0 for an image without type.
    """

    webp: bytes
    size: tuple[int, int]
    alt: str = ""
    caption: str = ""
    legible: int = 0

    @property
    def png(self) -> bytes:
        return as_png(Image.open(io.BytesIO(self.webp)))


def frame(drawn) -> Frame:
    """A `Picture` (anything with `.png()`), a Matplotlib figure, PNG bytes or an (H, W[, 3]) array, as a frame."""
    image = _image(drawn)
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")
    alt, caption = (getattr(drawn, name, None) or "" for name in ("alt", "caption"))
    figure = hasattr(drawn, "png") or hasattr(drawn, "savefig")
    return Frame(as_webp(image), image.size, alt, caption, round(LEGIBLE * image.width) if figure else 0)


def as_webp(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", lossless=True, method=1, quality=50)  # more effort: twice the time, 2 % fewer bytes
    return stream.getvalue()


def as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _image(drawn) -> Image.Image:
    if hasattr(drawn, "png"):
        return decoded(drawn.png(dpi=DPI))
    if hasattr(drawn, "savefig"):
        stream = io.BytesIO()
        drawn.savefig(stream, format="png", dpi=DPI)
        if pyplot := sys.modules.get("matplotlib.pyplot"):  # a figure left open is shown again under the cell
            pyplot.close(drawn)
        return decoded(stream.getvalue())
    if isinstance(drawn, bytes | bytearray):
        return decoded(drawn)
    if hasattr(drawn, "__array__"):
        return _from_array(np.asarray(drawn))
    raise ValueError(f"draw returned {drawn!r:.60}: a Picture, a figure, PNG bytes or an (H, W[, 3]) array is needed")


def decoded(picture: bytes) -> Image.Image:
    """The bytes of a PNG, JPEG or WebP as an image."""
    try:
        image = Image.open(io.BytesIO(picture))
        image.load()
    except OSError as error:  # of no known format, or cut off
        begin = bytes(picture[:12])
        raise ValueError(f"{len(picture)} bytes that begin with {begin!r} are no complete PNG, JPEG or WebP") from error
    return image if image.mode in ("RGB", "RGBA") else image.convert("RGBA")


def _from_array(pixels: np.ndarray) -> Image.Image:
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or pixels.size == 0:
        raise ValueError(f"an image has the shape (H, W) or (H, W, 3), this array has {pixels.shape}")
    if pixels.dtype.kind not in "bfiu":
        raise ValueError(f"an image holds real numbers, this array holds {pixels.dtype}")
    if pixels.dtype != np.uint8:
        low, high = float(pixels.min()), float(pixels.max())
        if not (0 <= low and high <= 1):  # also false for NaN
            cure = "; of bytes 0 ... 255 take uint8" if pixels.dtype.kind in "iu" else ""
            raise ValueError(f"an image holds 0 (black) to 1 (white), this one {low:g} to {high:g}{cure}")
        pixels = np.round(255 * pixels.astype(np.float64)).astype(np.uint8)
    block = -(-SMALLEST // pixels.shape[0]) if pixels.shape[0] < SMALLEST else 1
    return Image.fromarray(pixels.repeat(block, 0).repeat(block, 1)).convert("RGB")
