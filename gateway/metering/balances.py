"""Balances: what a scope may still hold, and what a hold turns into; decided without a database."""

from dataclasses import dataclass

from gateway.errors import BudgetExceeded, GatewayError, Unauthenticated
from gateway.metering.operations import Closing
from gateway.metering.prices import usd
from gateway.metering.statements import Row


@dataclass(slots=True)
class Balance:
    """One scope's row while a batch works on it."""

    scope: str
    disabled: bool
    expires_ms: int | None
    limit_nano: int | None
    posted_nano: int
    held_nano: int
    posted_characters: int
    held_characters: int

    def refusal(self, nano: int, now_ms: int) -> GatewayError | None:
        """Why this scope cannot hold `nano` more."""
        if self.disabled:
            return Unauthenticated("this API key is disabled")
        if self.expires_ms is not None and self.expires_ms <= now_ms:
            return Unauthenticated("this API key has expired")
        if self.limit_nano is None:
            return None
        left = self.limit_nano - self.posted_nano - self.held_nano
        if nano > left:
            return BudgetExceeded(
                f"this API key's limit of {usd(self.limit_nano)} USD leaves {usd(left)} USD, "
                f"and the request may cost up to {usd(nano)} USD"
            )
        return None

    def hold(self, nano: int, characters: int) -> None:
        self.held_nano += nano
        self.held_characters += characters

    def resolve(self, hold: Row, closing: Closing) -> int:
        """Turn a hold into what was really charged, and give the charge: never above the hold."""
        held_nano, held_characters = int(hold["hold_nano"]), int(hold["hold_characters"])
        charge = min(closing.cost_nano, held_nano)
        self.held_nano -= held_nano
        self.held_characters -= held_characters
        self.posted_nano += charge
        self.posted_characters += closing.charged_characters
        return charge

    def row(self) -> Row:
        """The columns that a batch may have changed."""
        return {
            "scope": self.scope,
            "limit_nano": self.limit_nano,
            "posted_nano": self.posted_nano,
            "held_nano": self.held_nano,
            "posted_characters": self.posted_characters,
            "held_characters": self.held_characters,
        }


def scope_of(key_hash: str) -> str:
    return f"key:{key_hash}"
