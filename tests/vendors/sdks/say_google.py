"""Google's own SDK says a text over REST; run in the vendors' environment."""

import sys

from google.auth.api_key import Credentials
from google.cloud import texttospeech as tts
from google.cloud.texttospeech_v1.services.text_to_speech.transports import (
    TextToSpeechRestTransport,
)

url, text = sys.argv[1:]
host = url.removeprefix("http://")
transport = TextToSpeechRestTransport(
    host=host, url_scheme="http", credentials=Credentials("test-key")
)
said = tts.TextToSpeechClient(transport=transport).synthesize_speech(
    input=tts.SynthesisInput(text=text, prompt="Calmly."),
    voice=tts.VoiceSelectionParams(
        language_code="en-US", name="Kore", model_name="gemini-2.5-flash-tts"
    ),
    audio_config=tts.AudioConfig(audio_encoding=tts.AudioEncoding.PCM, speaking_rate=1.25),
    retry=None,
)
sys.stdout.buffer.write(said.audio_content)
