"""Operations that tell what was used, and that change who may use what."""

from typing import get_args

from gateway.docs.operation import HASH, Operation, Parameter
from gateway.endpoints.budgets import BudgetBody
from gateway.endpoints.key_body import KeyChange, NewKey, Rotation
from gateway.endpoints.projects import NewOrganisation, NewProject, ProjectChange
from gateway.metering.scopes import PERIODS
from gateway.metering.usage import Bucket, Group

_HASH = Parameter("hash", "The key's hash, which is also its id.", HASH, is_required=True)
_SCOPE = "organisation:<id>, project:<id>, key:<hash>, provider:<name> or global."

USING = (
    Operation(
        "get",
        "/usage",
        "Use",
        "What was used, by hour, day or month",
        "A key sees its own use, a management key everybody's. Counted are whole UTC hours of "
        "requests that have ended.",
        parameters=(
            Parameter("from", "ISO date or time, UTC; left out: thirty days ago."),
            Parameter("to", "ISO date or time, UTC; left out: now."),
            Parameter("bucket", "", "hour", choices=get_args(Bucket)),
            Parameter("group_by", "", "model", choices=get_args(Group)),
            Parameter("format", "", choices=("json", "csv")),
        ),
        errors=(400,),
    ),
    Operation("get", "/credits", "Use", "What may be spent in all, and what was"),
    Operation(
        "get",
        "/activity",
        "Use",
        "The last thirty complete days, by model and provider",
        parameters=(
            Parameter("date", "One of those days, as YYYY-MM-DD."),
            Parameter("api_key_hash", "Of one key; management keys only."),
        ),
        errors=(400,),
    ),
    Operation("get", "/key", "Keys", "What the calling key may and did use"),
)
MANAGING = (
    Operation(
        "get",
        "/keys",
        "Keys",
        "A hundred keys, newest first",
        scope="read",
        parameters=(
            Parameter("offset", "How many to leave out.", kind="integer"),
            Parameter("include_disabled", "", kind="boolean"),
        ),
        errors=(400,),
    ),
    Operation(
        "post",
        "/keys",
        "Keys",
        "Make a key",
        "Its plain text is in this answer and nowhere else.",
        scope="manage",
        body=NewKey,
        examples={
            "with limits": {
                "name": "reader",
                "limit": 5,
                "limit_reset": "monthly",
                "rates": {"requests_per_minute": 60},
            },
            "that sees its project": {"name": "reporter", "scopes": ["speak", "read"]},
        },
        status=201,
        errors=(400, 404, 409),
    ),
    Operation(
        "get",
        "/keys/{hash}",
        "Keys",
        "One key",
        scope="read",
        parameters=(_HASH,),
        errors=(404,),
    ),
    Operation(
        "patch",
        "/keys/{hash}",
        "Keys",
        "Change what is named on a key",
        "An absent field stays, null clears.",
        scope="manage",
        parameters=(_HASH,),
        body=KeyChange,
        examples={
            "a higher limit": {"limit": "12.50"},
            "only one model": {"allowed": {"models": ["local/espeak-ng"]}},
        },
        errors=(400, 404, 409),
    ),
    Operation(
        "post",
        "/keys/{hash}/rotate",
        "Keys",
        "A new secret for the same key",
        "The older ones work until their grace is over.",
        scope="manage",
        parameters=(_HASH,),
        body=Rotation,
        examples={"an hour of grace": {"grace_seconds": 3600}},
        errors=(400, 404),
    ),
    Operation(
        "delete",
        "/keys/{hash}",
        "Keys",
        "Delete a key",
        "Its books stay.",
        scope="manage",
        parameters=(_HASH,),
        errors=(404,),
    ),
    Operation(
        "get",
        "/budgets",
        "Budgets and projects",
        "Everything that limits something, with what is used, held and left",
        scope="manage",
        parameters=(
            Parameter("scope", _SCOPE),
            Parameter("offset", "How many to leave out.", kind="integer"),
            Parameter("limit", "How many, 1 to 100.", kind="integer"),
        ),
        errors=(400,),
    ),
    Operation(
        "put",
        "/budgets",
        "Budgets and projects",
        "Set a scope's budget of one period",
        "It takes the place of what the scope had for that period.",
        scope="manage",
        body=BudgetBody,
        examples={
            "a month of a project": {
                "scope": "project:default",
                "period": "month",
                "limit": 50,
                "soft_limit": 40,
            }
        },
        errors=(400, 404, 409),
    ),
    Operation(
        "delete",
        "/budgets",
        "Budgets and projects",
        "Take a budget's limits away",
        "What it counted goes on being counted.",
        scope="manage",
        parameters=(
            Parameter("scope", _SCOPE, "project:default", is_required=True),
            Parameter("period", "", "month", choices=tuple(PERIODS), is_required=True),
        ),
        errors=(400, 404),
    ),
    Operation("get", "/organisations", "Budgets and projects", "Organisations", scope="manage"),
    Operation(
        "post",
        "/organisations",
        "Budgets and projects",
        "Make an organisation",
        scope="manage",
        body=NewOrganisation,
        examples={"one": {"id": "acme", "name": "Acme Books"}},
        status=201,
        errors=(400, 409),
    ),
    Operation("get", "/projects", "Budgets and projects", "Projects", scope="manage"),
    Operation(
        "post",
        "/projects",
        "Budgets and projects",
        "Make a project",
        scope="manage",
        body=NewProject,
        examples={"one": {"id": "audiobooks", "organisation": "default"}},
        status=201,
        errors=(400, 404, 409),
    ),
    Operation(
        "get",
        "/audit",
        "Audit",
        "Every change that somebody made, newest first",
        scope="manage",
        parameters=(
            Parameter("subject", "As key:<hash>."),
            Parameter("limit", "How many, 1 to 100.", 1, "integer"),
            Parameter("before_id", "Only older ones than this.", kind="integer"),
        ),
        errors=(400,),
    ),
    Operation(
        "patch",
        "/projects/{project_id}",
        "Budgets and projects",
        "Change what is named on a project",
        scope="manage",
        parameters=(Parameter("project_id", "The project's id.", "default", is_required=True),),
        body=ProjectChange,
        examples={"what is kept": {"keep_text_hours": 24}},
        errors=(400, 404),
    ),
)
