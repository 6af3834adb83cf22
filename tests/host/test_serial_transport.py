"""The serial transport against a device in Python: every kind of access, every kind of damage on the line."""

import os
import random
import struct

import pytest
from tilewright.host.framing import FrameReader, frame
from tilewright.host.link import DeviceError, NoAnswerError, NoDeviceError
from tilewright.host.port import PortError, SerialPort, UnpluggedError
from tilewright.host.serial_transport import SerialTransport

from .device import IDENTITY, MEMORY, Damage, Device, Line

PATIENCE = 0.002


def connect(device: Device, sent: Damage = bytes, returned: Damage = bytes) -> SerialTransport:
    return SerialTransport(Line(device, sent, returned), patience=PATIENCE)


class Once:
    """Damage the piece after the next ``skip`` ones, and no other."""

    def __init__(self, damage: Damage, skip: int = 0):
        self.damage, self.left = damage, skip + 1

    def __call__(self, line: bytes) -> bytes:
        if line:
            self.left -= 1
        return self.damage(line) if line and self.left == 0 else line


def flip(place: int, bit: int) -> Damage:
    return lambda line: line[:place] + bytes([line[place] ^ 1 << bit]) + line[place + 1 :]


def drop(place: int) -> Damage:
    return lambda line: line[:place] + line[place + 1 :]


def add(place: int, byte: int) -> Damage:
    return lambda line: line[:place] + bytes([byte]) + line[place:]


def test_frames():
    body = bytes(range(256)) * 2
    line = frame(body)
    assert line[0] == line[-1] == 0x7E and 0x7E not in line[1:-1]
    assert line.startswith(b"\x7e\x00\x01") and b"\x7d\x5d\x7d\x5e\x7f" in line
    reader = FrameReader()
    pieces = [b"noise", line, line[:-1], line, b"\x7d", line]
    stream = b"".join(pieces)
    found = [content for at in range(0, len(stream), 7) for content in reader.feed(stream[at : at + 7])]
    assert found == [body] * 4
    assert reader.damaged == 2


def test_accesses():
    device = Device()
    transport = connect(device)
    assert (transport.memory_bytes, transport.clock_hz) == (MEMORY, 80_000_000)
    transport.write_register(4, 0x7E7D7E7D)
    assert transport.read_register(4) == 0x7E7D7E7D
    assert device.writes == [(4, 0x7E7D7E7D)]
    assert transport.link.retries == 0


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 51, 52, 53, 1000])
def test_any_bytes_of_memory(size: int):
    device = Device()
    transport = connect(device)
    rng = random.Random(size)
    expected = bytearray(rng.randbytes(MEMORY))
    device.spaces[2][:] = expected
    for address in (0, 1, 2, 3, 4096 - size, 777):
        data = rng.randbytes(size)
        expected[address : address + size] = data
        transport.write_memory(address, data)
        assert transport.read_memory(address, size) == data
    assert device.spaces[2] == expected
    transport.write_memory(3, b"")
    assert transport.read_memory(3, 0) == b""
    assert device.spaces[2] == expected


def test_progress():
    seen: list[tuple[int, int]] = []
    transport = connect(Device())
    transport.progress = lambda done, total: seen.append((done, total))
    transport.write_memory(0, bytes(400))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {100}
    assert seen[-1] == (100, 100)
    assert len(seen) == 8


@pytest.mark.parametrize("outward", [True, False])
def test_every_byte_of_a_frame_damaged(outward: bool):
    """Each place of a request and of its reply: flipped bits, a lost byte, one too many. Written once, and retried."""
    device = Device()
    length = len(frame(bytes(12))) if outward else len(frame(bytes(8)))
    rng = random.Random(int(outward))
    for place in range(length):
        for damage in (flip(place, rng.randrange(8)), flip(place, rng.randrange(8)), drop(place), add(place, 0x7E),
                       add(place, rng.randrange(256)), lambda line: b""):  # fmt: skip
            device.writes.clear()
            once = Once(damage, skip=1)  # after the identity
            transport = connect(device, *((once, bytes) if outward else (bytes, once)))
            value = rng.choice([0x01020304, 0x11223344])
            transport.write_register(8, value)
            assert device.writes == [(8, value)]
            assert once.left <= 0
            assert transport.read_register(8) == value


@pytest.mark.parametrize("seed", range(3))
def test_a_noisy_line(seed: int):
    """A transfer of memory with a byte in 400 damaged, both ways."""
    rng = random.Random(seed)

    def noise(line: bytes) -> bytes:
        return b"".join(
            rng.choice([b"", bytes([byte ^ 1 << rng.randrange(8)]), bytes([byte, rng.randrange(256)])])
            if rng.random() < 1 / 400
            else bytes([byte])
            for byte in line
        )

    device = Device()
    transport = connect(device, noise, noise)
    data = rng.randbytes(4001)
    transport.write_memory(5, data)
    assert device.spaces[2][5:4006] == data
    assert transport.read_memory(5, 4001) == data
    assert transport.link.retries > 0


def test_errors_of_the_device():
    transport = connect(Device())
    with pytest.raises(DeviceError, match="the line: a read of memory at 0x4000 was answered with an error: no such"):
        transport.read_memory(MEMORY, 4)
    with pytest.raises(DeviceError, match="a write of registers at 0x40 "):
        transport.write_register(64, 1)
    assert transport.read_register(0) == 0


def test_nobody_there():
    with pytest.raises(NoDeviceError, match="the line: nothing answers at 100000000 baud; is the board configured"):
        connect(Device(), sent=lambda line: b"")
    with pytest.raises(NoDeviceError, match="only noise answers"):
        connect(Device(), returned=lambda line: os.urandom(20) + b"\x7e")
    echo = Device()
    echo.take = bytes
    with pytest.raises(NoDeviceError, match="nothing answers"):
        connect(echo)


def test_another_device():
    with pytest.raises(NoDeviceError, match="version 9 of the link, not 1"):
        connect(Device(IDENTITY[:4] + struct.pack("<I", 9) + IDENTITY[8:]))
    with pytest.raises(NoDeviceError, match="no Tilewright device"):
        connect(Device(bytes(16)))


def test_the_line_dies():
    alive = True
    transport = connect(Device(), sent=lambda line: line if alive else b"")
    alive = False
    with pytest.raises(NoAnswerError, match="no answer to a write of memory at 0x0 after 6 attempts"):
        transport.write_memory(0, bytes(1000))
    alive = True
    assert transport.read_memory(0, 8) == bytes(8)


def test_a_port_that_is_not_there():
    with pytest.raises(PortError, match="cannot open /dev/nothing: no such file or directory"):
        SerialPort("/dev/nothing", 115200)
    with pytest.raises(PortError, match="cannot open /dev/null: it is no serial port, or cannot do 115200 baud"):
        SerialPort("/dev/null", 115200)


def test_a_terminal_as_a_port():
    """pyserial on a pseudo-terminal: bytes both ways, sole use, silence, and the plug pulled out."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    port = SerialPort(name, 115200)
    with pytest.raises(PortError, match="another program uses it"):
        SerialPort(name, 115200)
    assert port.receive(0.01) == b""
    port.send(bytes(range(256)))
    assert os.read(master, 1000) == bytes(range(256))
    os.write(master, bytes(range(256)))
    received = b""
    while len(received) < 256:
        more = port.receive(5)
        assert more
        received += more
    assert received == bytes(range(256))
    os.close(master)
    with pytest.raises(UnpluggedError, match=f"{name}: the port is gone; was it unplugged"):
        port.receive(1)
    with pytest.raises(UnpluggedError, match="the port is gone"):
        port.send(b"x")
    port.close()
