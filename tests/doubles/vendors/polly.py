"""Amazon Polly as botocore 1.44.5 finds it: it checks signatures, and names errors in a header."""

import hashlib
import hmac
import re
from xml.parsers import expat

from aiohttp import web

from tests.doubles.vendors import Fake, Refusal, Vendor, cut, spoken

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "a-session"
REGION = "eu-west-1"
KINDS = {"mp3": "audio/mpeg", "ogg_opus": "audio/ogg", "pcm": "audio/pcm"}
FORMS = {"mp3": "mp3", "ogg_opus": "opus", "pcm": "pcm"}
RATES = {
    "mp3": {"8000", "16000", "22050", "24000", "44100", "48000"},
    "ogg_opus": {"48000"},
    "pcm": {"8000", "16000"},
}
FIELDS = {"Text", "TextType", "VoiceId", "Engine", "OutputFormat", "SampleRate", "LanguageCode"}


def failed(status: int, name: str) -> Refusal:
    where = f"{name}:http://internal.amazon.com/coral/com.amazonaws.polly/"
    return Refusal(status, {"message": "no"}, {"x-amzn-errortype": where})


ERRORS = {
    "too long": failed(400, "TextLengthExceededException"),
    "bad rate": failed(400, "InvalidSampleRateException"),
    "bad ssml": failed(400, "InvalidSsmlException"),
    "no language": failed(400, "LanguageNotSupportedException"),
    "bad field": failed(400, "ValidationException"),
    "no engine": failed(400, "EngineNotSupportedException"),
    "no lexicon": failed(404, "LexiconNotFoundException"),
    "too often": failed(400, "ThrottlingException"),
    "too much": failed(402, "ServiceQuotaExceededException"),
    "bad key": failed(403, "UnrecognizedClientException"),
    "bad signature": failed(403, "InvalidSignatureException"),
    "old key": failed(400, "ExpiredTokenException"),
    "forbidden": failed(403, "AccessDeniedException"),
    "broken": failed(500, "ServiceFailureException"),
    "busy": failed(503, "ServiceUnavailableException"),
}


def is_signed(request: web.Request, body: bytes) -> bool:
    """Whether the signature is the one that AWS would make of the request, with the same secret.

    Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
    """
    told = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d+)/([\w-]+)/polly/aws4_request, "
        r"SignedHeaders=([\w;-]+), Signature=([0-9a-f]{64})",
        request.headers.get("authorization", ""),
    )
    if told is None:
        return False
    identity, day, region, names, signature = told.groups()
    lines = "".join(f"{name}:{request.headers.get(name, '')}\n" for name in names.split(";"))
    asked = f"POST\n/v1/speech\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{region}/polly/aws4_request"
    moment, digest = request.headers["x-amz-date"], hashlib.sha256(asked.encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"):
        key = hmac.digest(key, part.encode(), "sha256")
    whose = (identity, region, request.headers.get("x-amz-security-token"))
    is_ours = whose == (KEY_ID, REGION, TOKEN) and {"host", "x-amz-date"} <= {*names.split(";")}
    return is_ours and hmac.compare_digest(key.hex(), signature)


def said(body: dict[str, str]) -> str:
    """The text without the markup that SSML may hold; Polly lets prefixes go undeclared."""
    if body.get("TextType", "text") == "text":
        return body["Text"]
    read: list[str] = []
    parser = expat.ParserCreate()
    parser.CharacterDataHandler = read.append
    try:
        parser.Parse(body["Text"], True)
    except expat.ExpatError:
        return "bad ssml"
    return "".join(read)


def judged(body: dict[str, str]) -> str:
    """The name of the error that the body's fields make, or the text that is to be spoken."""
    form, text = body["OutputFormat"], said(body)
    if body.keys() - FIELDS or form not in KINDS:
        return "bad field"
    if body.get("SampleRate", "48000" if form == "ogg_opus" else "16000") not in RATES[form]:
        return "bad rate"
    return "too long" if len(text) > 3000 else text


def routes(fake: Fake) -> list[web.RouteDef]:
    async def speak(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        is_known = is_signed(request, await request.read())
        if refusal := fake.refused(judged(body) if is_known else "bad signature"):
            return refusal
        form = body["OutputFormat"]
        told = {"x_amzn_RequestId": "po-1", "x_amzn_RequestCharacters": str(len(said(body)))}
        return await fake.stream(request, cut(spoken(FORMS[form])), KINDS[form], **told)

    return [web.post("/v1/speech", speak)]


POLLY = Vendor(routes, ERRORS)
