"""CPU time by thread: what is inference, and what is not."""

import threading
import time

import pytest

from spotterd.service.ledger import LIBRARIES, Ledger


def test_inference_is_left_out_in_detect_and_in_the_backends_threads() -> None:
    began = Ledger({1: ("MainThread", 9.0), 2: ("detect", 1.0), 3: ("", 1.0), 6: ("", 1.0)}, 12.0)
    ended = Ledger(
        {
            1: ("MainThread", 9.5),
            2: ("detect", 6.0),
            3: ("", 5.5),  # the backend's
            4: ("", 0.25),  # a decoder's, begun meanwhile
            5: ("interpret", 0.5),
        },
        12.0 + 10.75 + 0.75,  # the last by a decoder that has ended
    )
    outside = ended.since(began, infer_s=4.5)
    assert outside == pytest.approx({"detect": 0.5, LIBRARIES: 1.0, "interpret": 0.5})


def test_a_thread_that_works_is_found_under_its_name() -> None:
    began, done = Ledger.now(), threading.Event()

    def work() -> None:
        until_s = time.thread_time() + 0.05
        while time.thread_time() < until_s:
            pass
        done.wait(10)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    while Ledger.now().since(began, infer_s=99.0).get("worker", 0.0) < 0.03:
        thread.join(0.01)
        assert thread.is_alive()
    done.set()
    thread.join()
