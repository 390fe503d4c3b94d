"""Whose connections: counted exactly, over all workers, with many clients that come and go."""

from __future__ import annotations

import random

from pierhead.board import CROWD, Board
from pierhead.transports.acceptor import Share
from pierhead.transports.crowd import Crowd


def workers(count: int) -> list[Crowd]:
    """Return the crowds of several workers that know each other."""
    rows = [Board().row(1, 1 + index) for index in range(count)]
    shares = [Share(row) for row in rows]
    for share, row in zip(shares, rows, strict=True):
        share.know(other for other in rows if other is not row)
    return [Crowd(share) for share in shares]


def test_a_client_counts_in_all_workers() -> None:
    one, two, three = workers(3)
    assert [one.come("a"), two.come("a"), two.come("a"), three.come("b")] == [1, 2, 3, 1]
    two.go("a")
    assert three.come("a") == 3
    one.go("a")
    two.go("a")
    three.go("a")
    assert one.come("a") == 1


def test_listeners_with_limits_of_their_own_count_apart() -> None:
    row = Board().row(1, 1)
    share = Share(row)
    assert [Crowd(share).come("a"), Crowd(share, 1).come("a"), Crowd(share, 2).come("a")] == [1, 1, 1]


def test_clients_that_come_and_go_are_counted_exactly() -> None:
    chance = random.Random(5)
    crowds = workers(3)
    open_: list[tuple[Crowd, str]] = []
    for _ in range(20_000):
        if len(open_) > CROWD // 2 or (open_ and chance.random() < 0.4):
            crowd, who = open_.pop(chance.randrange(len(open_)))
            crowd.go(who)
        else:
            crowd, who = chance.choice(crowds), f"192.0.2.{chance.randrange(900)}"
            open_.append((crowd, who))
            assert crowd.come(who) == sum(other == who for _, other in open_)


def test_more_clients_than_there_is_room_for_count_in_their_own_worker() -> None:
    one, two = workers(2)
    for number in range(3 * CROWD):
        assert one.come(f"client {number}") == 1
    assert all(one.come(f"client {number}") == 2 for number in range(3 * CROWD))
    shared = sum(two.come(f"client {number}") == 3 for number in range(3 * CROWD))
    assert CROWD * 0.9 < shared <= CROWD
    for number in range(3 * CROWD):
        one.go(f"client {number}")
        one.go(f"client {number}")
        two.go(f"client {number}")
    assert one.come("another") == 1


def test_a_worker_that_is_gone_counts_no_more() -> None:
    rows = [Board().row(1, 1), Board().row(1, 2)]
    gone, left = Share(rows[0]), Share(rows[1])
    left.know([rows[0]])
    Crowd(gone).come("a")
    crowd = Crowd(left)
    assert crowd.come("a") == 2
    rows[0].clear()
    assert crowd.come("a") == 2
