"""Audio in memory: what is fixed stays, of the rest what was not used for longest goes first."""

from __future__ import annotations

from bridge.observe.stats import PromptStats
from bridge.prompts.memory import Memory
from bridge.prompts.prompt import Prompt


def prompt(size_bytes: int) -> Prompt:
    return Prompt(bytes(size_bytes))


def test_what_was_not_used_for_longest_makes_room() -> None:
    stats = PromptStats()
    memory = Memory(10, stats)
    for key in "abc":
        assert memory.keep(key, prompt(3))
    assert memory.get("a") == prompt(3)
    assert memory.keep("d", prompt(3))
    assert [key for key in "abcd" if key in memory] == ["a", "c", "d"]
    assert memory.get("b") is None
    assert (memory.left_bytes, stats.crowded_out) == (1, 1)


def test_what_is_fixed_is_never_dropped() -> None:
    stats = PromptStats()
    memory = Memory(10, stats)
    memory.keep("spoken", prompt(4))
    assert memory.keep("fixed", prompt(8), fixed=True)
    assert not memory.keep("more", prompt(3), fixed=True)
    assert not memory.keep("late", prompt(3))
    assert ("spoken" in memory, "fixed" in memory, memory.left_bytes) == (False, True, 2)
    assert stats.crowded_out == 3


def test_what_nothing_can_stand_in_for_is_kept_all_the_same() -> None:
    memory = Memory(10, PromptStats())
    assert memory.keep("recording", prompt(20), fixed=True, force=True)
    assert memory.get("recording") == prompt(20)
    assert not memory.keep("spoken", prompt(1))


def test_the_same_again_takes_no_more_room() -> None:
    memory = Memory(10, PromptStats())
    for fixed in (False, True, False):
        assert memory.keep("a", prompt(6), fixed=fixed)
        assert memory.left_bytes == 4
