"""Replay: a kept clip on its way out, under the same rules for slow clients as a new one."""

import logging
from contextlib import aclosing

from gateway.dispatch.outlet import Abandoned, Head, Outlet
from gateway.errors import GatewayError
from gateway.kept.folder import Clip

log = logging.getLogger(__name__)


async def read_out(clip: Clip, head: Head, outlet: Outlet, patience: float) -> None:
    """Fill the outlet from the disk."""
    outlet.open(head)
    try:
        async with aclosing(clip.chunks()) as chunks:
            async for chunk in chunks:
                await outlet.put(chunk, patience)
    except Abandoned:
        return
    except OSError as error:
        log.error("a kept clip could not be read: %s", error)  # noqa: TRY400  # it says all
        outlet.close(GatewayError("the kept audio could not be read to its end"))
    else:
        outlet.close()
        await outlet.ended(patience)
