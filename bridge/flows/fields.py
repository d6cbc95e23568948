"""What the keys of a flow file may hold, with the words for what they want."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

StepName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a step's name: a-z, 0-9, _")
]
VariableName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a variable's name: a-z, 0-9, _")
]
PromptId: TypeAlias = Annotated[
    str, Meta(pattern=r"^([a-z0-9][a-z0-9_.-]{0,127})?$", description="a prompt's id: a-z, 0-9, _ . -")
]
HoursName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="a name of hours: a-z, 0-9, _")
]
Key: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#]{1,8}$", description="keys of a telephone: 0-9, *, #, A-D")
]
FinishKeys: TypeAlias = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#]{0,16}$", description="keys of a telephone: 0-9, *, #, A-D")
]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=600)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=10)]
#: The caller's data and what an API answered; all are text when they are said.
Value: TypeAlias = str | int | float | bool
Datum: TypeAlias = Annotated[Value, Meta(description="text in quotes, a number, true or false")]
Span: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{2}:\d{2}-\d{2}:\d{2}$", description="times of day, as in 09:00-17:30")
]
Day: TypeAlias = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a date, as in 2026-12-25")]
