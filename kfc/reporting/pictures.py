"""Makes small PNG pictures of rows of pixels, and of the weights of a first layer."""

from __future__ import annotations

import base64
import io

import keras
import numpy as np

from kfc.reporting.blocks import Picture, Pictures

_UNITS = 32


def png_uri(pixels: np.ndarray) -> str:
    """Returns a data URI of 8-bit pixels, (height, width) or (height, width, 3)."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"


def row_pictures(x: np.ndarray, shape: tuple[int, int, int]) -> list[str]:
    """Returns the PNG of each row of pixels, from the smallest value of all to the largest.

    Args:
        x: Rows, (rows, ...), of one pixel or more.
        shape: Height, width and channels of a picture.
    """
    values = np.asarray(x, np.float64).reshape(len(x), *shape)
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    pixels = ((values - low) / max(high - low, 1e-30) * 255).round().astype(np.uint8)
    return [png_uri(each[..., 0] if shape[2] == 1 else each) for each in pixels]


def first_kernel(network: keras.Model, inputs: int) -> np.ndarray | None:
    """Returns the kernel of the first dense layer, (inputs, units); None where it has none.

    Args:
        network: Network.
        inputs: Numbers in a row.
    """
    for layer in network.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None and len(kernel.shape) == 2 and kernel.shape[0] == inputs:
            return np.asarray(kernel)
    return None


def weight_pictures(network: keras.Model, shape: tuple[int, int, int]) -> Pictures | None:
    """Returns pictures of the weights of the first layer: of its units with the largest ones.

    A weight is orange above zero and blue below; all units share one scale.

    Args:
        network: Network of pictures.
        shape: Height, width and channels of a picture.
    """
    kernel = first_kernel(network, int(np.prod(shape)))
    if kernel is None:
        return None
    norms = np.linalg.norm(kernel, axis=0)
    chosen = np.argsort(-norms, kind="stable")[:_UNITS]
    # A few large weights, such as those of pixels at the border, would make all others pale.
    scale = float(np.quantile(np.abs(kernel[:, chosen]), 0.995)) or 1.0
    units = kernel[:, chosen].T.reshape(len(chosen), *shape).mean(axis=3) / scale
    pictures = [
        Picture(
            png_uri(_two_colors(unit)),
            f"weights of unit {number}",
            [f"unit {number}", f"norm {norms[number]:.2f}"],
        )
        for number, unit in zip(chosen, units, strict=True)
    ]
    title = f"{len(chosen)} of {kernel.shape[1]} units, those with the largest weights"
    return Pictures(title, pictures)


def _two_colors(values: np.ndarray) -> np.ndarray:
    """Returns RGB pixels: orange above zero, blue below, grey-white at zero."""
    share = np.clip(values, -1, 1)[..., None]
    middle = np.array([244, 244, 244])
    ends = np.where(share >= 0, np.array([213, 94, 0]), np.array([0, 114, 178]))
    return (middle + (ends - middle) * np.abs(share)).round().astype(np.uint8)
