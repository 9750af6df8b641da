"""Numbers on their way to the device."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def send(values: NDArray[np.integer], device: torch.device) -> Tensor:
    """Copy numbers to a device; the host does not wait for what that still does.

    CUDA copies plain memory only after everything before it; pinned memory it fetches by itself.
    """
    sent = torch.from_numpy(np.ascontiguousarray(values))
    if device.type != "cuda":
        return sent.to(device)
    return sent.pin_memory().to(device, non_blocking=True)
