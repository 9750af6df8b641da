import os

import torch

torch.set_num_threads(1)
if not torch.cuda.is_available():
    # Triton's kernels are interpreted; it has to know before anybody imports it.
    os.environ["TRITON_INTERPRET"] = "1"
