"""Documents of small runs for system tests, made by event-model, without a RunEngine."""

from collections.abc import Callable
from typing import Any

import event_model
import numpy as np
import pytest

Documents = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def run_documents() -> Callable[..., Documents]:
    """Return a maker of the documents of one run with `events` numbers read."""

    def make(events: int = 3, *, stop: bool = True, **start: Any) -> Documents:
        run = event_model.compose_run(metadata={"plan_name": "count", **start}, time=1.7e9)
        stream = run.compose_descriptor(
            name="primary",
            data_keys={"current": {"source": "ring", "dtype": "number", "shape": [], "dtype_numpy": "<f8"}},
        )
        documents: Documents = [("start", dict(run.start_doc)), ("descriptor", dict(stream.descriptor_doc))]
        for i in range(events):
            event = stream.compose_event(data={"current": np.float64(i) + 0.5}, timestamps={"current": 1.7e9 + i})
            documents.append(("event", dict(event)))
        if stop:
            documents.append(("stop", dict(run.compose_stop())))
        return documents

    return make
