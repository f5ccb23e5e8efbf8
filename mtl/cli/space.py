"""What a search may try: Hydra's sweep syntax as Optuna's distributions."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from mtl.errors import MtlError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def space(words: Sequence[str]) -> tuple[list[str], dict[str, "BaseDistribution"]]:
    """The overrides that stay, and the distribution of each that is searched.

    `a=x,y` and `choice(x,y)` are choices, `range(1,9,2)` whole numbers (the end is left out, as in Hydra),
    `interval(0,1)` real numbers, `int(interval(1,9))` whole numbers (the end included), and `tag(log, ...)` makes
    numbers even on a logarithmic scale.
    """
    fixed: dict[str, str] = {}
    searched: dict[str, BaseDistribution] = {}
    for override in OverridesParser.create().parse_overrides(list(words)):
        key = override.get_key_element()
        fixed.pop(key, None)
        searched.pop(key, None)
        if override.is_sweep_override():
            try:
                searched[key] = _distribution(override)
            except ValueError as error:
                raise MtlError(f"{override.input_line}: {error}") from error
        else:
            fixed[key] = f"{key}={override.get_value_element_as_str()}"
    return list(fixed.values()), searched


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    tags: set[str] = getattr(value, "tags", set())
    if unknown := tags - {"log"}:
        raise MtlError(f"{override.input_line}: the one tag there is, is log. Found {', '.join(sorted(unknown))}")
    log = "log" in tags
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        if low is None or high is None or low >= high:
            raise MtlError(f"{override.input_line}: the interval is empty")
        whole = isinstance(low, int) and isinstance(high, int) and "int(" in str(override.input_line)
        return IntDistribution(int(low), int(high), log=log) if whole else FloatDistribution(low, high, log=log)
    texts = list(override.sweep_string_iterator())
    if isinstance(value, RangeSweep) and all(isinstance(n, int) for n in value.range()):
        numbers = list(map(int, texts))
        if numbers == sorted(numbers) and numbers:
            return IntDistribution(numbers[0], numbers[-1], step=1 if log else max(int(value.step), 1), log=log)
    if log:
        raise MtlError(f"{override.input_line}: log is for intervals and rising ranges of whole numbers")
    if not texts:
        raise MtlError(f"{override.input_line}: there is nothing to choose from")
    return CategoricalDistribution(texts)


def check_numbers(searched: Mapping[str, "BaseDistribution"], base: Mapping[str, Any]) -> None:
    """An interval is for a field that holds a number; MtlError names the field and what it holds."""
    from optuna.distributions import CategoricalDistribution

    for key, distribution in searched.items():
        if isinstance(distribution, CategoricalDistribution):
            continue
        parts = key.lstrip("+").split(".")
        held: Any = reduce(lambda node, part: node.get(part) if isinstance(node, Mapping) else None, parts, base)
        if isinstance(held, bool) or not (held is None or isinstance(held, int | float)):
            what = "a group of options" if isinstance(held, Mapping) else repr(held)
            raise MtlError(f"{key}: an interval or range is for a number. {key} holds {what}; list what to try: a,b,c")


def corners(searched: Mapping[str, "BaseDistribution"]) -> list[dict[str, Any]]:
    """The lowest and the highest of every number, and all choices in turn: what is worth a check before it begins."""
    from optuna.distributions import CategoricalDistribution

    sides: dict[str, tuple[Any, ...]] = {
        key: found.choices if isinstance(found, CategoricalDistribution) else (found.low, found.high)  # ty: ignore
        for key, found in searched.items()
    }
    longest = max(map(len, sides.values()))
    return [{key: side[n % len(side)] for key, side in sides.items()} for n in range(longest)]


def words(params: Mapping[str, Any]) -> list[str]:
    """Parameters of a trial as overrides."""
    return [f"{key}={value}" for key, value in params.items()]
