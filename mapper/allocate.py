"""Where each image lies in the activation memory: by lifetime, the peak as low as a few greedy orders find."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

from ..hw.params import BANKS, Parameters
from .banks import shares_place
from .errors import TooLargeError
from .layer import Image, Layer, Network, Triple

__all__ = ["Allocation", "Place", "allocate", "verify_allocation"]


@dataclass(frozen=True)
class Place:
    """Where an image's first pixel is, and how far other pixels are; in units, see `docs/architecture.md`."""

    address: int
    bank: int
    row_step: int
    x_step: int

    def row(self, row: int) -> tuple[int, int]:
        """Bank and unit address of a row's first pixel; the row may lie above the image."""
        line = self.bank + row
        return line % BANKS, self.address + (line // BANKS) * self.row_step

    def extent(self, bank: int, rows: int) -> tuple[int, int]:
        """First unit and the one behind the last that `rows` rows take in a bank; equal if none."""
        first = (bank - self.bank) % BANKS
        if first >= rows:
            return 0, 0
        last = first + (rows - 1 - first) // BANKS * BANKS
        return self.row(first)[1], self.row(last)[1] + self.row_step


@dataclass(frozen=True)
class Allocation:
    """The place of each image, and the units of each bank that are ever used."""

    places: Mapping[str, Place]
    peak: int

    def kib(self, params: Parameters) -> float:
        """The peak in KiB of the whole memory."""
        return self.peak * params.unit * BANKS / 1024


def allocate(network: Network, banks: Mapping[str, int], params: Parameters) -> Allocation:
    """Give each image an address from its first step to its last reader's.

    Raises `TooLargeError` with the KiB needed and available, at the layer where most is needed.
    """
    lives = _lifetimes(network)
    partners = _partners(network)
    parts = network.parts
    names = [name for name in network.images if name not in parts]
    shapes = {name: _place(network.images[name], 0, banks[name], params) for name in names}

    def units(name: str) -> int:
        return network.images[name].rows * shapes[name].row_step

    orders: list[Callable[[str], tuple[int, ...]]] = [
        lambda name: (-units(name), lives[name].start),
        lambda name: (-units(name) * len(lives[name]), lives[name].start),
        lambda name: (-len(lives[name]), -units(name)),
        lambda name: (lives[name].start, -units(name)),
        lambda name: (-lives[name].stop, -units(name)),
    ]
    found = [_first_fit(network, sorted(names, key=order), shapes, lives, partners) for order in orders]
    allocation = min(found, key=lambda allocation: allocation.peak)
    if allocation.peak > params.bank_words * params.units:
        _refuse(network, allocation, lives, params)
    within = {name: _within(allocation.places[whole], offset, params) for name, (whole, offset) in parts.items()}
    return replace(allocation, places={**allocation.places, **within})


def _within(place: Place, offset: Triple, params: Parameters) -> Place:
    """The place of a part that begins at a row, column and channel of a whole."""
    row, column, channel = offset
    bank, address = place.row(row)
    address += column * place.x_step + channel // params.vector * params.units
    return replace(place, bank=bank, address=address)


def verify_allocation(network: Network, allocation: Allocation, params: Parameters) -> None:
    """Raise `ValueError` if an image leaves its bank, or two that live at one time meet other than pixel in pixel."""
    lives = _lifetimes(network)
    partners = _partners(network)
    for name, (whole, offset) in network.parts.items():
        if allocation.places[name] != _within(allocation.places[whole], offset, params):
            raise ValueError(f"image {name!r} does not lie in {whole!r}")
    names = [name for name in network.images if name not in network.parts]
    for index, name in enumerate(names):
        place, rows = allocation.places[name], network.images[name].rows
        if any(place.extent(bank, rows)[1] > params.bank_words * params.units for bank in range(BANKS)):
            raise ValueError(f"image {name!r} at unit {place.address} leaves its bank")
        for other in names[:index]:
            in_place = frozenset((name, other)) in partners and place == allocation.places[other]
            if _overlap(lives[name], lives[other]) and not in_place and _meet(network, allocation.places, name, other):
                raise ValueError(f"images {name!r} and {other!r} meet")


def _place(image: Image, address: int, bank: int, params: Parameters) -> Place:
    x_step = -(-image.channels // params.vector) * params.units
    return Place(address, bank, image.width * x_step, x_step)


def _lifetimes(network: Network) -> dict[str, range]:
    """Steps from an image's definition to its last reader; that of a whole begins with its first part."""
    lives: dict[str, range] = {}
    for index, step in enumerate(network.steps):
        for name in step.reads:
            lives[name] = range(lives[name].start, index + 1)
        if step.output is not None:
            lives[step.output] = range(index, index + 1)
    for part, (whole, _) in network.parts.items():
        first, last = lives[part], lives[whole]
        lives[whole] = range(min(first.start, last.start), max(first.stop, last.stop))
    return {name: life for name, life in lives.items() if name not in network.parts}


def _partners(network: Network) -> set[frozenset[str]]:
    """Pairs of images of which one may replace the other in place."""
    parts = network.parts
    return {
        frozenset((layer.output, source))
        for layer in network.layers
        for source in layer.reads
        if layer.output not in parts and source not in parts and shares_place(network, layer, source)
    }


def _overlap(first: range, second: range) -> bool:
    return first.start < second.stop and second.start < first.stop


def _meet(network: Network, places: Mapping[str, Place], first: str, second: str) -> bool:
    for bank in range(BANKS):
        a = places[first].extent(bank, network.images[first].rows)
        b = places[second].extent(bank, network.images[second].rows)
        if a[0] < b[1] and b[0] < a[1]:
            return True
    return False


def _first_fit(
    network: Network,
    order: list[str],
    shapes: Mapping[str, Place],
    lives: Mapping[str, range],
    partners: set[frozenset[str]],
) -> Allocation:
    """Images in the given order, each in place of another if it may, else at the lowest address that is free."""
    places: dict[str, Place] = {}
    for name in order:
        neighbours = [other for other in places if _overlap(lives[name], lives[other])]
        options = [places[other].address for other in neighbours if frozenset((name, other)) in partners]
        options += sorted(_free_addresses(network, name, neighbours, places, shapes[name]))
        places[name] = next(
            place
            for place in (replace(shapes[name], address=address) for address in options)
            if _fits(network, {**places, name: place}, name, neighbours, partners)
        )
    ends = [place.extent(bank, network.images[name].rows)[1] for name, place in places.items() for bank in range(BANKS)]
    return Allocation(places, max(ends, default=0))


def _free_addresses(
    network: Network, name: str, neighbours: list[str], places: Mapping[str, Place], shape: Place
) -> set[int]:
    """Addresses next to which something ends, in some bank; and 0. The one behind everything is among them."""
    found = {0}
    rows = network.images[name].rows
    for bank in range(BANKS):
        start = shape.extent(bank, rows)[0]
        for other in neighbours:
            end = places[other].extent(bank, network.images[other].rows)[1]
            found.add(max(0, end - start))
            found.add(end)
    return found


def _fits(
    network: Network, places: Mapping[str, Place], name: str, neighbours: list[str], partners: set[frozenset[str]]
) -> bool:
    return not any(
        _meet(network, places, name, other)
        and (frozenset((name, other)) not in partners or places[name] != places[other])
        for other in neighbours
    )


def _refuse(network: Network, allocation: Allocation, lives: Mapping[str, range], params: Parameters) -> NoReturn:
    def needed(index: int) -> int:
        return sum(
            -(-network.images[name].rows // BANKS) * allocation.places[name].row_step
            for name, life in lives.items()
            if index in life
        )

    index, layer = max(
        ((index, step) for index, step in enumerate(network.steps) if isinstance(step, Layer)),
        key=lambda pair: needed(pair[0]),
    )
    images = sorted((network.images[name] for name, life in lives.items() if index in life), key=lambda i: -i.size)
    reason = (
        f"activations need {allocation.kib(params):.0f} KiB on chip, and there are {params.activation_kib} "
        f"(there: {', '.join('x'.join(map(str, image.layout)) for image in images[:3])})"
    )
    hint = "use a larger `activation_kib` or a smaller input; `run --engine golden` does without the accelerator"
    raise TooLargeError(layer.kind, layer.name, reason, hint)
