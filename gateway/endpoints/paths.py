"""The two base paths: `/v1` with OpenAI's habits, `/api/v1` with OpenRouter's."""

OPENAI, OPENROUTER = "/v1", "/api/v1"


def both(path: str) -> list[str]:
    """The path under each base; one handler for the two is half the work at start."""
    return [OPENAI + path, OPENROUTER + path]
