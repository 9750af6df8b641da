"""What an error's words and headers mean, apart from any provider."""

import httpx
import msgspec
import pytest

from providers.refusals import refusal


@pytest.mark.parametrize(
    "named",
    [
        "ThrottlingException",
        "ThrottlingException:",
        "ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.service/",
        "com.amazonaws.polly#ThrottlingException",
        "aws.protocoltests#ThrottlingException:http://internal.amazon.com/coral/",
    ],
)
def test_the_error_s_name_is_read_out_of_amazon_s_header(named: str) -> None:
    error = refusal(400, httpx.Headers({"x-amzn-errortype": named}), b'{"message": "Rate"}')
    assert (error.kind, error.code) == ("rate_limit_exceeded", "ThrottlingException")


@pytest.mark.parametrize("named", ["", ":", "two words", "<html>", "x" * 65, "#", "a#b#c"])
def test_what_is_no_name_in_that_header_is_left_alone(named: str) -> None:
    error = refusal(400, httpx.Headers({"x-amzn-errortype": named}), b"{}")
    assert (error.kind, error.code) == ("invalid_request", None)


@pytest.mark.parametrize(
    "details",
    [
        None,
        "RetryInfo",
        {"retryDelay": "3s"},
        [None, 3, ["3s"]],
        [{"retryDelay": 3}, {"retryDelay": None}, {"retryDelay": {"seconds": 3}}],
        [{"retryDelay": "s"}, {"retryDelay": "-3s"}, {"retryDelay": "nans"}],
        [{"reason": ["API_KEY_INVALID"]}, {"reason": "API KEY INVALID"}],
    ],
)
def test_odd_details_say_nothing(details: object) -> None:
    body = msgspec.json.encode({"error": {"code": 429, "details": details}})
    error = refusal(429, httpx.Headers(), body)
    assert (error.kind, error.wait, error.code) == ("rate_limit_exceeded", None, "429")


def test_the_code_is_the_word_rather_than_the_number_beside_it() -> None:
    body = b'{"error": {"code": 503, "message": "no", "status": "UNAVAILABLE"}}'
    assert refusal(503, httpx.Headers(), body).code == "UNAVAILABLE"
    assert refusal(503, httpx.Headers(), b'{"error": {"code": 503}}').code == "503"
