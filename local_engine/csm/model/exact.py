"""Float32 that is float32, whatever a device would rather do."""

import torch


def exact_float32() -> None:
    """Have float32 computed as float32 by this whole process, on CUDA too.

    cuDNN's convolutions would use TF32 by default, with 10 bits of mantissa: Mimi, which stays in
    float32, would be heard and encoded otherwise than it was made. The language model has nothing
    to lose by it: on CUDA it runs in bfloat16.
    """
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
