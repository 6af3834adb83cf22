"""Training: Adam on the cross-entropy of shifted images, with smoothed labels."""

import numpy as np
from rich.progress import track

from .data import SEED, Digits, shifted
from .layers import Parameters
from .network import initialize, run, run_backward

__all__ = ["fit"]

EPOCHS = 60
BATCH = 32
RATE = 3e-3
"""Of learning at the start; it falls to 0 along a line."""
TRUTH = np.where(np.eye(10), 0.91, 0.01)
"""What to answer for each digit: not quite 1 and 0, so that answers do not saturate and every bit of them tells."""


def fit(digits: Digits) -> Parameters:
    """The trained parameters: the same for the same digits, whatever the machine."""
    random = np.random.default_rng(SEED)
    parameters = initialize(random)
    adam = Adam(parameters)
    batches = len(digits.images) // BATCH
    for epoch in track(range(EPOCHS), "training"):
        order = random.permutation(len(digits.images))
        for batch in range(batches):
            chosen = order[batch * BATCH :][:BATCH]
            _, tape = run(parameters, shifted(digits.images[chosen], random))
            gradients = run_backward(tape, TRUTH[digits.labels[chosen]])
            parameters = adam.step(parameters, gradients, RATE * (1 - (epoch + batch / batches) / EPOCHS))
    return parameters


class Adam:
    """Adam (Kingma and Ba 2015) with its usual constants: 0.9, 0.999 and 1e-8."""

    def __init__(self, parameters: Parameters):
        self.means = {name: np.zeros_like(values) for name, values in parameters.items()}
        self.squares = {name: np.zeros_like(values) for name, values in parameters.items()}
        self.mean_bias = self.square_bias = 1.0

    def step(self, parameters: Parameters, gradients: Parameters, rate: float) -> Parameters:
        """The parameters after a step against the gradients, whose common factor does not matter."""
        self.mean_bias *= 0.9
        self.square_bias *= 0.999
        stepped = {}
        for name, gradient in gradients.items():
            self.means[name] += 0.1 * (gradient - self.means[name])
            self.squares[name] += 0.001 * (gradient * gradient - self.squares[name])
            mean = self.means[name] / (1 - self.mean_bias)
            square = self.squares[name] / (1 - self.square_bias)
            stepped[name] = parameters[name] - rate * mean / (np.sqrt(square) + 1e-8)
        return stepped
