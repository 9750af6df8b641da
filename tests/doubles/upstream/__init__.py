"""An upstream that speaks OpenAI's wire and misbehaves as its address asks.

`http://127.0.0.1:PORT/<behaviour>/v1` is one behaviour; every request it hears is kept.
"""

from tests.doubles.upstream.behaviours import BEHAVIOURS
from tests.doubles.upstream.exchange import Heard
from tests.doubles.upstream.server import Upstream

__all__ = ["BEHAVIOURS", "Heard", "Upstream"]
