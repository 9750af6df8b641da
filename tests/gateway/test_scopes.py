"""Periods: each moment is in exactly one of every kind, and they are those of the calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.scopes import PERIODS, Period, balance_id, period_end, period_start

moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # the zone is its own argument
ENDING = [p for p in PERIODS if p != "total"]


def ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def calendar(period: Period, moment: datetime) -> tuple[datetime, datetime]:
    """The same by the calendar."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    monday = day - timedelta(days=day.weekday())
    month = day.replace(day=1)
    return {
        "minute": (m := moment.replace(second=0, microsecond=0), m + timedelta(minutes=1)),
        "hour": (hour, hour + timedelta(hours=1)),
        "day": (day, day + timedelta(days=1)),
        "week": (monday, monday + timedelta(days=7)),
        "month": (month, (month + timedelta(days=31)).replace(day=1)),
    }[period]


@pytest.mark.parametrize("period", ENDING)
@given(moment=moments)
def test_a_period_is_that_of_the_calendar(period: Period, moment: datetime) -> None:
    start = period_start(period, ms(moment))
    assert (start, period_end(period, start)) == tuple(map(ms, calendar(period, moment)))


@pytest.mark.parametrize("period", ENDING)
@given(moment=moments)
def test_one_period_ends_where_the_next_begins(period: Period, moment: datetime) -> None:
    start = period_start(period, ms(moment))
    end = period_end(period, start)
    assert end is not None
    assert period_start(period, end) == end
    assert period_start(period, end - 1) == start


def test_the_year_ends_with_december() -> None:
    december = ms(datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    start = period_start("month", december)
    assert period_end("month", start) == ms(datetime(2027, 1, 1, tzinfo=UTC))


def test_a_total_has_neither_beginning_nor_end() -> None:
    assert period_start("total", 5) == 0
    assert period_end("total", 0) is None
    assert balance_id("key:k", "total", 0) == "key:k|total|0"
