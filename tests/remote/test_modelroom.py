"""Delivered models on disk: kept whole, found damaged, swept away."""

import hashlib
from pathlib import Path

import pytest

from spotterd.errors import RetryError
from spotterd.remote.model import Before, Delivered, Order, Phase, Record
from spotterd.remote.modelroom import ModelRoom


def delivered(content: bytes, name: str = "new") -> Delivered:
    return Delivered(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def taken(room: ModelRoom, content: bytes) -> Delivered:
    order = Order(token="", url="file:///x", model=delivered(content))
    room.keep(Record(order=order, phase=Phase.DOWNLOADING))
    room.part(order).write_bytes(content)
    room.take_in(order)
    return order.model


@pytest.fixture
def room(tmp_path: Path) -> ModelRoom:
    return ModelRoom(tmp_path / "models")


def test_a_record_is_there_at_the_next_start_and_nobody_else_reads_it(room, tmp_path) -> None:
    record = Record().ordered(
        Order(token="t", url="https://u:p@h/x", model=delivered(b"1")), Before(objects=0.5)
    )
    room.keep(record)
    assert ModelRoom(tmp_path / "models").record == record
    assert (tmp_path / "models" / "record.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b'{"phase": "canary"}x'])
def test_a_broken_record_is_as_none(room, tmp_path: Path, content: bytes, caplog) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "record.json").write_bytes(content)
    assert ModelRoom(tmp_path / "models").record == Record()
    assert "unreadable" in caplog.text


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(RetryError, match="Make room"):
        ModelRoom(tmp_path / "models").keep(Record())


def test_damage_is_found(room: ModelRoom) -> None:
    model = taken(room, b"12345")
    assert room.damage(model) == ""
    room.file(model).write_bytes(b"12346")
    assert "other bytes" in room.damage(model)
    room.file(model).write_bytes(b"1")
    assert "1 bytes instead of 5" in room.damage(model)
    room.file(model).unlink()
    assert "cannot be read" in room.damage(model)


def test_only_what_is_named_survives_a_sweep(room: ModelRoom) -> None:
    old, current, new = (taken(room, content) for content in (b"old", b"current", b"new"))
    order = Order(token="", url="https://h/x", model=new)
    stale = Order(token="", url="", model=delivered(b"stale"))
    for one in (order, stale):
        room.part(one).write_bytes(b"n")
    room.keep(Record(history=(current, None), order=order, phase=Phase.VERIFYING))
    room.sweep()
    assert room.file(current).exists()
    assert room.file(new).exists()
    assert not room.file(old).exists()
    assert room.part(order).exists()
    assert not room.part(stale).exists()
