"""Generations (one row per request), their attempts, and the immutable ledger entries."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from gateway.tables.metadata import metadata

# What partial indexes hold. Queries repeat it: only so does SQLite see that the index is enough.
OPEN = "outcome IN ('intent', 'unknown')"
FAILED = "error_type IS NOT NULL"
FALLEN_BACK = "fallbacks > 0"
# What a client brought itself. All others are other writings of the generation's id, whose random
# digits begin at its 23rd letter, and are found by it.
BROUGHT_REQUEST = "substr(request_id, 5) <> substr(id, 9)"
BROUGHT_TRACE = "substr(trace_id, 13) <> substr(id, 23)"

generation = Table(
    "generation",
    metadata,
    Column("id", String(64), primary_key=True, comment="gen-tts-..."),
    Column("request_id", String(64), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("key_hash", String(64), ForeignKey("api_key.hash"), nullable=False),
    Column("project", String(64), nullable=False, server_default="default"),
    Column("status", String(10), nullable=False),
    Column("created_ms", BigInteger, nullable=False, comment="by the gateway's clock"),
    Column(
        "at_ms",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="by the database's clock: what decides its periods",
    ),
    Column("instance", String(40), comment="who holds it; null: nothing was ever held"),
    Column("requested_model", String(200), nullable=False),
    Column("task", String(100)),
    Column("format", String(8), nullable=False),
    Column("streamed", Boolean, nullable=False, comment="answered as server-sent events"),
    Column("characters", BigInteger, nullable=False, comment="code points as received"),
    Column("hold_nano", BigInteger, nullable=False),
    Column("hold_characters", BigInteger, nullable=False),
    Column("user", String(256)),
    Column("session_id", String(256)),
    Column("app", String(200)),
    Column("referer", String(500)),
    Column("user_agent", String(300)),
    Column("plan", Text, nullable=False, comment="JSON: choices and exclusions"),
    # Known once it has ended.
    Column("http_status", Integer),
    Column("error_type", String(40)),
    Column("model", String(200)),
    Column("provider", String(64)),
    Column("voice", String(200)),
    Column("upstream_id", String(200)),
    Column("charged_characters", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("liability_nano", BigInteger, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("first_audio_ms", BigInteger),
    Column("duration_ms", BigInteger),
    Column("fallbacks", Integer, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("cache_hit", Boolean, nullable=False),
    Column("flags", String(100), comment="what is remarkable, in words"),
    Column("timings", Text, comment="JSON: its measured steps, in ms from its beginning"),
    CheckConstraint("status IN ('held', 'settled', 'voided', 'unknown')", "known_status"),
    Index(None, "key_hash", "at_ms"),
    Index(None, "at_ms"),
    # What requests are looked up by, newest first; ids grow with time.
    Index(None, "key_hash", "id"),
    Index(None, "project", "id"),
    *(
        Index(
            f"ix_generation_{name}",
            *columns,
            sqlite_where=text(where),
            postgresql_where=text(where),
        )
        for name, columns, where in (
            ("failed", ("id",), FAILED),
            ("error_type", ("error_type", "id"), FAILED),
            ("fallen_back", ("id",), FALLEN_BACK),
            ("request", ("request_id",), BROUGHT_REQUEST),
            ("trace", ("trace_id",), BROUGHT_TRACE),
            ("session", ("session_id", "id"), "session_id IS NOT NULL"),
            ("user", ("user", "id"), '"user" IS NOT NULL'),
        )
    ),
    # Every row is changed once, and seldom in what an index holds: PostgreSQL then leaves all its
    # indexes as they are, where the page has room for the row's other version.
    postgresql_with={"fillfactor": 50},
)

attempt = Table(
    "attempt",
    metadata,
    Column("generation_id", String(64), ForeignKey("generation.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("provider", String(64), nullable=False),
    Column("model", String(200), nullable=False),
    Column("voice", String(200), nullable=False),
    Column(
        "kind",
        String(10),
        nullable=False,
        server_default="first",
        comment="why it was made: first repeat credential fallback hedge resume",
    ),
    Column("credential", Text, comment="the variable that holds the key it was made with"),
    Column(
        "from_character",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="where in the text it began",
    ),
    Column("started_ms", BigInteger, nullable=False),
    Column("bound_nano", BigInteger, comment="the most it can cost; null: its price is not known"),
    Column("price", String(40), comment="the version of the price that it was made at"),
    Column("outcome", String(10), nullable=False, comment="intent done failed abandoned unknown"),
    Column("http_status", Integer),
    Column("error_type", String(40)),
    Column("latency_ms", BigInteger),
    Column("first_audio_ms", BigInteger),
    Column("upstream_id", String(200)),
    Column("billed_units", BigInteger, comment="the provider's own count, when it gives one"),
    Column("liability_nano", BigInteger, nullable=False),
    Column(
        "audio_ms",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="how much of its audio the client was given",
    ),
    # Leads to the requests that have not ended, which keep it small.
    Index(
        "ix_attempt_open",
        "outcome",
        "generation_id",
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
    sqlite_with_rowid=False,  # its key is as long as the rest: one tree, not two
)

# Nothing here is ever changed; a correction is a further row of kind adjust.
entry = Table(
    "entry",
    metadata,
    Column("generation_id", String(64), ForeignKey("generation.id"), primary_key=True),
    Column("ledger", String(10), primary_key=True, comment="charge or liability"),
    Column("kind", String(10), primary_key=True, comment="hold settle void unknown adjust"),
    Column("seq", Integer, primary_key=True, comment="the attempt's, for hold and liability"),
    Column("created_ms", BigInteger, nullable=False),
    Column("nano", BigInteger, nullable=False),
    Column("characters", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The text of a request, for as long as its project had asked when it came; by default nobody's is.
request_text = Table(
    "request_text",
    metadata,
    Column("generation_id", String(64), ForeignKey("generation.id"), primary_key=True),
    Column("text", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Index(None, "expires_ms"),
)

# The price book: whatever price a catalogue ever had, so that every attempt's can be looked up.
price = Table(
    "price",
    metadata,
    Column("version", String(40), primary_key=True),
    Column("offer", String(265), primary_key=True, comment="provider:model"),
    Column("terms", Text, nullable=False, comment="JSON"),
    Column("seen_ms", BigInteger, nullable=False),
)

# Which request an Idempotency-Key stands for.
claim = Table(
    "claim",
    metadata,
    Column("id", String(330), primary_key=True, comment="<key hash>:<Idempotency-Key>"),
    Column("generation_id", String(64), ForeignKey("generation.id"), nullable=False),
    Column("fingerprint", String(64), nullable=False, comment="of the body, keyed"),
    Column("created_ms", BigInteger, nullable=False),
)
