import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from local_engine.csm.link import (
    Link,
    LinkClosed,
    decode_from_engine,
    decode_orders,
    encode,
    read_frame,
)
from local_engine.csm.messages import (
    Cancel,
    Drain,
    FromEngine,
    Gauges,
    Loading,
    Orders,
    Report,
    Spoken,
    Submit,
    Taken,
    Turn,
)

GAUGES = Gauges(4, 1, 0, 0, 0, 4, 7, 7, 0, 0, 0, 1 << 40)
Pair = tuple[Link[Orders], Link[FromEngine]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    engine = Link(ours, decode_orders, patience_seconds=0.2)
    server = Link(theirs, decode_from_engine, patience_seconds=0.2)
    yield engine, server
    engine.close()
    server.close()


def orders() -> Orders:
    turn = Turn("0", "Hello", audio=bytes(range(256)))
    submit = Submit(3, "utt-3", "key", "Good day", "alloy", context=(turn,), most_frames=9)
    return Orders((submit, Cancel(3), Taken(3, 12), Drain()))


def test_orders_arrive_as_they_were_sent(pair: Pair) -> None:
    engine, server = pair
    server.send(orders())
    assert engine.receive() == orders()


def test_messages_arrive_whole_and_in_order(pair: Pair) -> None:
    engine, server = pair
    report = Report(GAUGES, 0.5, (Spoken(1, 200_000),), b"\x01\x02" * 200_000)
    sender = threading.Thread(target=lambda: [engine.send(report), engine.send(Loading("x"))])
    sender.start()
    assert server.receive() == report
    assert server.receive() == Loading("x")
    sender.join()


def test_polling_gives_nothing_where_nothing_has_come(pair: Pair) -> None:
    assert pair[0].poll(0) == []


def test_polling_gives_all_that_has_come(pair: Pair) -> None:
    engine, server = pair
    server.send(Orders((Cancel(1),)))
    server.send(Orders((Cancel(2),)))
    assert engine.poll(1) == [Orders((Cancel(1),)), Orders((Cancel(2),))]


def test_a_ring_ends_the_wait(pair: Pair) -> None:
    engine, _ = pair
    engine.ring()
    began = time.monotonic()
    assert engine.poll(60) == []
    assert time.monotonic() - began < 30


def test_ringing_for_ever_blocks_nobody(pair: Pair) -> None:
    engine, _ = pair
    for _ in range(100_000):
        engine.ring()
    assert engine.poll(60) == []


def test_what_was_said_before_hanging_up_is_still_heard(pair: Pair) -> None:
    engine, server = pair
    server.send(orders())
    server.close()
    assert engine.poll(1) == [orders()]
    assert engine.poll(1) == []
    with pytest.raises(LinkClosed):
        engine.poll(1)


def test_a_reader_that_never_reads_is_given_up(pair: Pair) -> None:
    report = Report(GAUGES, pcm=bytes(8_000_000))
    with pytest.raises(LinkClosed, match="nobody reads"):
        pair[0].send(report)


def test_a_closed_socket_cannot_be_written_to(pair: Pair) -> None:
    engine, server = pair
    server.close()
    with pytest.raises(LinkClosed):
        engine.send(Loading("x"))


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1"])
def test_nonsense_is_as_good_as_hanging_up(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    engine = Link(ours, decode_orders)
    theirs.send(nonsense)
    with pytest.raises(LinkClosed):
        engine.poll(1)
    engine.close()
    theirs.close()


async def test_the_server_reads_frames_from_a_stream() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(encode(Loading("weights", 1, 2)) + encode(Report(GAUGES)))
    reader.feed_eof()
    assert decode_from_engine(await read_frame(reader)) == Loading("weights", 1, 2)
    assert decode_from_engine(await read_frame(reader)) == Report(GAUGES)
    with pytest.raises(LinkClosed):
        await read_frame(reader)
