"""`tiny-random`: the same babble at every start, at once, without a download or transformers."""

import subprocess
import sys
from time import process_time

import numpy as np
import pytest
import torch
from transformers import MimiConfig, MimiModel

from local_engine.csm.loading.fingerprint import fingerprint
from local_engine.csm.loading.model import Model, load
from local_engine.csm.loading.names import flat
from local_engine.csm.settings import EngineSettings

SETTINGS = EngineSettings(name="tiny-random", device="cpu")


def _quiet(stage: str, done: int, total: int) -> None:
    assert (stage, done <= total) == ("weights", True)


@pytest.fixture(scope="module")
def model() -> Model:
    return load(SETTINGS, _quiet)


def test_it_loads_at_once(model: Model) -> None:
    begun = process_time()
    load(SETTINGS, _quiet)
    assert process_time() - begun < 0.3
    assert model.folder is None


def test_its_weights_are_the_same_at_every_start(model: Model) -> None:
    torch.manual_seed(99)
    again = load(EngineSettings(name="other", source="tiny-random", device="cpu"), _quiet)
    assert torch.equal(model.weights.backbone.layers[1].qkv, again.weights.backbone.layers[1].qkv)
    assert fingerprint(model.weights.codec) == fingerprint(again.weights.codec)
    assert again.name == "other"


def test_its_frames_are_as_long_as_the_real_ones(model: Model) -> None:
    shape = model.shape
    assert (shape.frame_samples, shape.codec.sample_rate, shape.longest) == (1920, 24_000, 2048)
    assert (shape.codebooks, shape.codes) == (8, 67)


def test_any_codes_are_heard_as_noise_of_sane_loudness(model: Model) -> None:
    """Decoded by transformers' own Mimi: neither clipped nor silent, in any tenth of a second."""
    mimi = MimiModel(MimiConfig.from_dict(dict(model.codec_config))).eval()
    named = {_flat(name): name for name in mimi.state_dict()}
    mimi.load_state_dict({named[name]: t for name, t in model.weights.codec.items()})
    draw = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 64, (4, 8, 60), generator=draw)
    with torch.no_grad():
        samples = mimi.decode(codes).audio_values[:, 0].numpy()
    assert samples.shape == (4, 60 * 1920)
    loudness = np.sqrt((samples.reshape(4, -1, 1920) ** 2).mean(-1))
    assert 0.5 < np.abs(samples).max() * 2 < 2
    assert loudness.min() > 0.02
    assert loudness.max() < 0.4


def test_its_logits_are_neither_flat_nor_certain(model: Model) -> None:
    """The first head over a unit hidden state: codes are drawn, not always the same one."""
    hidden = torch.randn(50, 64, generator=torch.Generator().manual_seed(1))
    spread = (hidden @ model.weights.first_head[:64].T).std(dim=1).mean()
    assert 0.5 < spread < 3


def test_text_is_bytes(model: Model) -> None:
    assert model.tokenizer.ids("né") == (110, 195, 169)
    assert (model.tokenizer.bos, model.tokenizer.eos) == (256, 257)


def test_on_request_it_is_bfloat16_but_its_codec() -> None:
    half = EngineSettings(name="tiny-random", device="cpu", dtype="bfloat16")
    weights = load(half, _quiet).weights
    assert weights.heads.dtype == torch.bfloat16
    assert weights.codec["upsample.conv.weight"].dtype == torch.float32


def test_loading_it_imports_no_transformers() -> None:
    code = (
        "import sys\n"
        "from local_engine.csm.loading.model import load\n"
        "from local_engine.csm.settings import EngineSettings\n"
        "load(EngineSettings(name='tiny-random', device='cpu'), lambda *news: None)\n"
        "print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def _flat(name: str) -> str:
    (plain,) = flat({f"codec_model.{name}": 0})
    return plain.removeprefix("codec_model.")
