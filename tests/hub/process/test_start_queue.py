"""The queue of starting servers."""

from __future__ import annotations

import asyncio

import pytest

from tljh.hub.process.start_queue import Gate, QueueClosed, QueuePlace, StartQueue


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(test):
    asyncio.run(asyncio.wait_for(test(), 10))


class Starter:
    """A start that holds its turn until `done` is set."""

    def __init__(self, queue: StartQueue, log: list[str], name: str) -> None:
        self.turn = QueuePlace()
        self.done = asyncio.Event()
        self.name = name
        self.task = asyncio.create_task(self.start(queue, log))

    async def start(self, queue: StartQueue, log: list[str]) -> None:
        async with queue.take(self.turn):
            log.append(self.name)
            await self.done.wait()


def test_so_many_start_at_a_time_and_the_rest_in_the_order_in_which_they_came():
    async def test():
        queue, log = StartQueue(2), []
        starters = [Starter(queue, log, name) for name in "abcde"]
        await settle()
        assert log == ["a", "b"]
        assert [queue.ahead_of(starter.turn) for starter in starters] == [None, None, 0, 1, 2]
        starters[1].done.set()
        await settle()
        assert log == ["a", "b", "c"]
        assert queue.ahead_of(starters[4].turn) == 1
        for starter in starters:
            starter.done.set()
        await asyncio.gather(*(starter.task for starter in starters))
        assert log == list("abcde")
        assert (queue.busy, queue.waiting) == (0, 0)

    run(test)


def test_a_cancelled_start_lets_the_others_move_up():
    async def test():
        queue, log = StartQueue(1), []
        starters = [Starter(queue, log, name) for name in "abc"]
        await settle()
        starters[1].task.cancel()
        await settle()
        assert queue.ahead_of(starters[2].turn) == 0
        starters[0].done.set()
        await settle()
        assert log == ["a", "c"]

    run(test)


def test_a_turn_that_came_at_the_moment_of_a_cancel_is_passed_on():
    async def test():
        queue, log = StartQueue(1), []
        starters = [Starter(queue, log, name) for name in "abc"]
        await settle()
        starters[0].done.set()
        # The turn is given, and the start that waits for it is cancelled before it runs.
        starters[0].task.add_done_callback(lambda _: starters[1].task.cancel())
        await settle()
        assert log[-1] == "c"
        starters[2].done.set()
        await starters[2].task
        assert queue.busy == 0

    run(test)


def test_a_start_that_fails_makes_room():
    async def test():
        queue = StartQueue(1)
        with pytest.raises(RuntimeError):
            async with queue.take(QueuePlace()):
                raise RuntimeError
        async with queue.take(QueuePlace()):
            assert queue.busy == 1

    run(test)


def test_a_closed_queue_refuses_waiting_and_new_starts_and_lets_running_ones_finish():
    async def test():
        queue, log = StartQueue(1), []
        starters = [Starter(queue, log, name) for name in "abc"]
        await settle()
        queue.close()
        starters.append(Starter(queue, log, "d"))
        await settle()
        for starter in starters[1:]:
            with pytest.raises(QueueClosed):
                await starter.task
        starters[0].done.set()
        await starters[0].task
        assert (log, queue.busy) == (["a"], 0)

    run(test)


def test_the_loop_runs_other_tasks_between_two_starts_at_the_gate():
    async def test():
        gate, log = Gate(), []

        async def come() -> None:
            await gate.pass_through()
            log.append("start")

        async def ask() -> None:
            while log.count("start") < 5:
                log.append("answer")
                await asyncio.sleep(0)

        await asyncio.gather(ask(), *(come() for _ in range(5)))
        assert "start start" not in " ".join(log)

    run(test)
