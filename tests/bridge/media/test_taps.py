"""Who hears the caller: nothing is in the way while nobody but the detector does."""

from __future__ import annotations

from bridge.media.taps import Sink, Taps


class Reader:
    """Hands audio to whatever it was told of last."""

    sink: Sink

    def follow(self, sink: Sink) -> None:
        self.sink = sink


def test_while_nobody_else_listens_audio_goes_straight_to_the_ear() -> None:
    ear = bytearray()
    into_ear = ear.extend
    taps, reader = Taps(into_ear), Reader()
    taps.follow(reader.follow)
    assert reader.sink is taps.sink is into_ear


def test_a_tap_hears_what_comes_while_it_is_there_behind_the_ear() -> None:
    heard: list[tuple[str, bytes]] = []
    taps, reader = Taps(lambda mulaw: heard.append(("ear", mulaw))), Reader()
    straight = taps.sink
    taps.follow(reader.follow)

    def tap(mulaw: bytes) -> None:
        heard.append(("tap", mulaw))

    reader.sink(b"1")
    taps.add(tap)
    reader.sink(b"2")
    taps.remove(tap)
    reader.sink(b"3")
    taps.remove(tap)
    assert heard == [("ear", b"1"), ("ear", b"2"), ("tap", b"2"), ("ear", b"3")]
    assert reader.sink is straight


def test_one_tap_goes_and_the_other_stays() -> None:
    first, second = bytearray(), bytearray()
    taps = Taps(lambda _mulaw: None)
    into_first, into_second = first.extend, second.extend
    taps.add(into_first)
    taps.add(into_second)
    taps.sink(b"1")
    taps.remove(into_first)
    taps.sink(b"2")
    assert (bytes(first), bytes(second)) == (b"1", b"12")


def test_only_the_newest_reader_is_told_and_nobody_after_the_end() -> None:
    taps, old, new = Taps(lambda _mulaw: None), Reader(), Reader()
    taps.follow(old.follow)
    taps.follow(new.follow)
    before = old.sink
    tapped = bytearray()
    taps.add(tapped.extend)
    assert old.sink is before
    taps.close()
    new.sink(b"after the end")
    taps.add(tapped.extend)
    new.sink(b"after the end")
    assert not tapped
