"""What the end-to-end tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.examples import Rendered, Telephone, rendered
from tests.support.spoken import spoken


@pytest.fixture(scope="session")
def caller_voice() -> bytes:
    """Somebody who says something, as a WAV."""
    return spoken("Excuse me, I would like to ask something.")


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendered]:
    """What the examples of config/ivr.toml say, rendered; and who has spoken it."""
    with rendered(tmp_path_factory.mktemp("prompts")) as made:
        yield made


@pytest.fixture
def telephone(prompts: Rendered, tmp_path: Path) -> Telephone:
    """For calls to the examples."""
    return Telephone(prompts, tmp_path)
