"""Snippets: the same request as a shell, Python and Node would send it, ready to be copied."""

import json
import shlex
from dataclasses import dataclass

TEXT = "Hello from Voxroute."
VARIABLE = "VOXROUTE_API_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    """One language's."""

    id: str
    title: str
    code: str


def snippets(address: str, model: str, voice: str) -> tuple[Snippet, ...]:
    """address: the gateway's own, without a slash at the end."""
    base = f"{address}/v1"
    return (
        Snippet("curl", "curl", _curl(base, model, voice)),
        Snippet("python", "Python", _python(base, model, voice)),
        Snippet("node", "Node", _node(base, model, voice)),
    )


def _curl(base: str, model: str, voice: str) -> str:
    body = {"model": model, "voice": voice, "input": TEXT, "response_format": "mp3"}
    return f"""curl {shlex.quote(base + "/audio/speech")} \\
  -H "Authorization: Bearer ${VARIABLE}" \\
  -H "Content-Type: application/json" \\
  -d {shlex.quote(json.dumps(body))} \\
  -o hello.mp3
"""


def _python(base: str, model: str, voice: str) -> str:
    return f"""import os

from openai import OpenAI

client = OpenAI(base_url={json.dumps(base)}, api_key=os.environ["{VARIABLE}"])
with client.audio.speech.with_streaming_response.create(
    model={json.dumps(model)},
    voice={json.dumps(voice)},
    input="{TEXT}",
    response_format="mp3",
) as speech:
    speech.stream_to_file("hello.mp3")
"""


def _node(base: str, model: str, voice: str) -> str:
    return f"""import {{ writeFile }} from "node:fs/promises";
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: {json.dumps(base)}, apiKey: process.env.{VARIABLE} }});
const speech = await client.audio.speech.create({{
  model: {json.dumps(model)},
  voice: {json.dumps(voice)},
  input: "{TEXT}",
  response_format: "mp3",
}});
await writeFile("hello.mp3", Buffer.from(await speech.arrayBuffer()));
"""
