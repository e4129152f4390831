"""Whatever the order of events, every row that is not done is offered again, once, in order."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spotterd.publish.base import Message, Row
from spotterd.publish.ledger import Entry
from spotterd.publish.shelf import AHEAD, Shelf


class Machine(RuleBasedStateMachine):
    """A shelf, a disk that is a dictionary, and a broker that sometimes answers.

    Saving and reading take time: other things happen between their two halves (one
    thread does both, never at once).
    """

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(10_000, 1 << 30, newest=0)
        self.disk: dict[int, Row] = {}
        self.open: list[int] = []  # not done, in order
        self.taken: list[int] = []  # since the last rewind, in order
        self.saving: tuple | None = None
        self.reading: tuple | None = None

    @property
    def idle(self) -> bool:
        return self.saving is None and self.reading is None

    @rule(count=st.integers(1, 2 * AHEAD))
    def put(self, count: int) -> None:
        for _ in range(count):
            self.shelf.put(Message("t", b"x", qos=1))
            self.open.append(self.shelf.newest)

    @rule(most=st.integers(1, 20))
    def take(self, most: int) -> None:
        rows = self.shelf.take(most)
        assert len(rows) <= most
        for row in rows:
            assert row.id in self.open
            assert row.id in self.disk or self.shelf.in_memory, "offered before it was safe"
        self.taken += [row.id for row in rows]

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        row_id = data.draw(st.sampled_from(self.taken))
        self.shelf.done(row_id)
        if row_id in self.open:
            self.open.remove(row_id)

    @rule()
    def rewind(self) -> None:
        self.shelf.rewind()
        self.taken.clear()

    @precondition(lambda self: self.idle)
    @rule()
    def begin_save(self) -> None:
        self.saving = self.shelf.to_save()

    @precondition(lambda self: self.saving is not None)
    @rule(works=st.booleans())
    def end_save(self, works: bool) -> None:
        (rows, gone), self.saving = self.saving, None
        if not works:
            self.shelf.keep_gone(gone)
            self.shelf.in_memory = True
            return
        self.disk |= {row.id: row for row in rows}
        for row_id in gone:
            del self.disk[row_id]
        self.shelf.saved(rows)
        if self.shelf.in_memory:
            self.shelf.in_memory = False
            self.shelf.offer_anew()

    @precondition(lambda self: self.idle)
    @rule(works=st.booleans())
    def save(self, works: bool) -> None:
        self.begin_save()
        self.end_save(works=works)

    @precondition(lambda self: self.idle)
    @rule()
    def begin_read(self) -> None:
        wanted = self.shelf.wants()
        if wanted:
            after, most = wanted
            found = [row for row_id, row in sorted(self.disk.items()) if row_id > after]
            self.reading = after, found[:most]

    @precondition(lambda self: self.reading is not None)
    @rule()
    def end_read(self) -> None:
        self.shelf.offer(*self.reading)
        self.reading = None

    @precondition(lambda self: self.idle)
    @rule()
    def read(self) -> None:
        self.begin_read()
        if self.reading:
            self.end_read()

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.shelf) == len(self.open)

    @invariant()
    def one_connection_gets_rows_once_and_in_order(self) -> None:
        assert all(earlier < later for earlier, later in pairwise(self.taken))

    def teardown(self) -> None:
        """The broker and the disk are well for good: everything that is open must have come."""
        if self.saving:
            self.end_save(works=True)
        if self.reading:
            self.end_read()
        for _ in range(2 + len(self.open) // 10):
            self.save(works=True)
            self.read()
            self.take(20)
        self.one_connection_gets_rows_once_and_in_order()
        assert set(self.open) <= set(self.taken)
        assert self.shelf.all_taken()
        assert sorted(self.disk) == self.open, "rows nobody knows of stay on disk"


TestShelf = Machine.TestCase
TestShelf.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)


@given(st.integers(0, 2 * AHEAD), st.integers(0, 2 * AHEAD))
@settings(deadline=None, max_examples=30)
def test_a_lost_file_costs_only_what_was_not_in_memory(on_disk: int, unsaved: int) -> None:
    shelf = Shelf(1000, 1 << 20, newest=0)
    assert shelf.load([(number, Entry("", "", 1)) for number in range(1, on_disk + 1)])
    for _ in range(unsaved):
        shelf.put(Message("t", b"x", qos=1))
    assert shelf.start_over() == shelf.dropped == on_disk
    assert len(shelf) == len(shelf.unsaved) == unsaved
    rows, gone = shelf.to_save()
    assert (len(rows), gone) == (unsaved, [])


def on_disk(count: int) -> tuple[Shelf, list[Row]]:
    shelf = Shelf(1000, 1 << 20, newest=0)
    assert shelf.load([(number, Entry("", "", 1)) for number in range(1, count + 1)])
    return shelf, [Row(number, Message("t", b"", qos=1)) for number in range(1, count + 1)]


def test_what_was_read_for_an_earlier_connection_is_not_offered() -> None:
    shelf, rows = on_disk(2 * AHEAD)
    assert shelf.wants() == (0, AHEAD)
    shelf.offer(0, rows[:AHEAD])
    assert len(shelf.take(AHEAD)) == AHEAD
    assert shelf.wants() == (AHEAD, AHEAD)
    shelf.rewind()  # while it is read
    shelf.offer(AHEAD, rows[AHEAD:])
    assert not shelf.has_ready
    assert shelf.wants() == (0, AHEAD)


def test_a_row_that_arrives_while_it_is_written_leaves_the_disk_again() -> None:
    shelf = Shelf(10, 1000, newest=0)
    shelf.in_memory = True
    shelf.put(Message("t", b"x", qos=1))
    shelf.offer(0, [])
    (row,) = shelf.take(1)
    rows, _ = shelf.to_save()
    shelf.done(row.id)
    shelf.saved(rows)
    assert shelf.to_save() == ([], [row.id])


def test_what_could_not_be_forgotten_is_tried_again() -> None:
    shelf, _ = on_disk(1)
    shelf.done(1)
    _, gone = shelf.to_save()
    assert gone == [1]
    assert not shelf.has_gone
    shelf.keep_gone(gone)
    assert shelf.to_save() == ([], [1])


def test_a_file_that_turns_up_late_must_be_older() -> None:
    shelf = Shelf(10, 1000, newest=100)
    shelf.put(Message("t", b"x", qos=1))
    assert not shelf.load([(101, Entry("", "", 1))])
    assert shelf.load([(7, Entry("", "", 1))])
    assert (len(shelf), shelf.newest) == (2, 101)
