"""Scikit-learn's handwritten digits: 1797 images of 8x8 pixels with 17 grey levels, split once and for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from .layers import Array

__all__ = ["SEED", "Digits", "load", "shifted"]

SEED = 2026
"""Of the split, the first weights, and the order and shifts of the training images."""


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Images [N, 8, 8, 1] from 0 to 1 and labels [N] from 0 to 9, to train with and held out."""

    images: Array
    labels: NDArray[np.int64]
    held_out_images: Array
    held_out_labels: NDArray[np.int64]


def load() -> Digits:
    """1437 images to train with and 360 held out, each digit in proportion."""
    digits = load_digits()
    images, held_out_images, labels, held_out_labels = train_test_split(
        digits.images[..., np.newaxis] / 16, digits.target, test_size=360, stratify=digits.target, random_state=SEED
    )
    return Digits(images=images, labels=labels, held_out_images=held_out_images, held_out_labels=held_out_labels)


def shifted(images: Array, random: np.random.Generator) -> Array:
    """Each image moved by -1, 0 or 1 pixels in both directions; what comes in from outside is paper."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    top, left = random.integers(3, size=(2, len(images), 1))
    rows, cols = top + np.arange(images.shape[1]), left + np.arange(images.shape[2])
    return padded[np.arange(len(images))[:, np.newaxis, np.newaxis], rows[:, :, np.newaxis], cols[:, np.newaxis]]
