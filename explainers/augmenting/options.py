"""Options that several methods about augmentation have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Transforms = Annotated[
    str,
    Field(max_length=2000, description="Transforms such as rotation(degrees=15), posterize(bits=5), or a preset."),
]
ExplainedBy = Annotated[
    str, Field(max_length=60, description="The method that explains, by its id; empty for a quick one.")
]
Points = Annotated[int, Field(ge=3, le=41, description="How many values of λ are tried.")]
Across = Annotated[float, Field(ge=0, le=1, description="Middle of the box, as a share of the width.")]
Down = Annotated[float, Field(ge=0, le=1, description="Middle of the box, as a share of the height.")]
