"""Detectors made of detectors: one a kind, one a feature, or the loudest of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution
from mlwatch.protocols import Detect, DriftDetector, part_features, part_name, part_names
from mlwatch.records import DriftResult

Part = DriftDetector | Detect
"""A detector, a composite of some, or a function `(reference, current) -> DriftResult | None`."""

_KINDS = ("numeric", "categorical")


@dataclass(frozen=True, init=False)
class PerKind:
    """Choose the detector by the kind of the feature: "numeric" (times too) or "categorical".

    Results are those of the chosen detector, under its own name; there is none of a kind for which
    no detector is given.

    Args:
        numeric: A detector, or a function that stands for one.
        categorical: Another.
        name: The name faults go by.

    Raises:
        ConfigurationError: No detector is given, one of another kind, or what is no detector.
    """

    kinds: Mapping[str, Part]
    name: str = "per_kind"

    def __init__(self, *, name: str = "per_kind", **kinds: Part | None) -> None:
        unknown = [kind for kind in kinds if kind not in _KINDS]
        if unknown:
            raise ConfigurationError(
                f"PerKind({unknown[0]}=...): there is no such kind; give numeric= or categorical="
            )
        chosen = {kind: part for kind, part in kinds.items() if part is not None}
        if not chosen:
            raise ConfigurationError("PerKind(): give numeric=, categorical= or both")
        for kind, part in chosen.items():
            _require_part(f"PerKind({kind}=...)", part)
        object.__setattr__(self, "kinds", chosen)
        object.__setattr__(self, "name", name)

    @property
    def names(self) -> frozenset[str]:
        """The names that results may carry."""
        return _names(self.kinds.values())

    @property
    def features(self) -> frozenset[str]:
        """The features that members were given by name."""
        return _features(self.kinds.values())

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return what the detector of the feature's kind returns; None where there is none."""
        return _ask(self.kinds.get(current.kind), reference, current)


@dataclass(frozen=True)
class PerFeature:
    """Choose the detector by the name of the feature.

    Results are those of the chosen detector, under its own name. The model's predictions go by
    the name "prediction". A monitor refuses a feature that its reference does not have.

    Args:
        detectors: By feature.
        default: For all other features; None leaves them out.
        name: The name faults go by.

    Raises:
        ConfigurationError: No detector is given, or what is no detector.
    """

    detectors: Mapping[str, Part]
    default: Part | None = None
    name: str = "per_feature"

    def __post_init__(self) -> None:
        if not isinstance(self.detectors, Mapping):
            raise ConfigurationError(
                f"PerFeature({self.detectors!r}): give a mapping of feature to detector, such as "
                'PerFeature({"age": KSDetector()})'
            )
        if not self.detectors and self.default is None:
            raise ConfigurationError("PerFeature({}): give a detector of a feature, or default=")
        for feature, part in self.detectors.items():
            if not isinstance(feature, str):
                raise ConfigurationError(
                    f"PerFeature: a feature {feature!r}; features are named by texts"
                )
            _require_part(f"PerFeature: feature {feature!r}", part)
        if self.default is not None:
            _require_part("PerFeature(default=...)", self.default)
        object.__setattr__(self, "detectors", dict(self.detectors))

    @property
    def names(self) -> frozenset[str]:
        """The names that results may carry."""
        return _names(self._parts)

    @property
    def features(self) -> frozenset[str]:
        """The features that it, or a member, was given by name."""
        return _features(self._parts) | self.detectors.keys()

    @property
    def _parts(self) -> list[Part]:
        rest = () if self.default is None else (self.default,)
        return [*self.detectors.values(), *rest]

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return what the feature's detector returns; None where there is none."""
        return _ask(self.detectors.get(current.name, self.default), reference, current)


def any_of(*detectors: Part, name: str | None = None) -> DriftDetector:
    """Return a detector that answers with the loudest of several, under one stable name.

    The evidence is that of the member with the largest `effect_low`, which `why` names; the
    p-value is the smallest times the number of members that gave one (Bonferroni), at most 1. A
    member that sets `drifted` is taken at its word: one True decides, and False stands when no
    other member leaves evidence for the policy to judge.

    Args:
        *detectors: Detectors, functions that stand for some, and composites of them.
        name: The name results go by; the members' names joined by " or " when not given. Alerts
            are known by it.

    Raises:
        ConfigurationError: No detector is given, or what is no detector.
    """
    if not detectors:
        raise ConfigurationError("any_of(): give detectors, such as any_of(KSDetector(), ...)")
    for part in detectors:
        _require_part("any_of(...)", part)
    return _AnyOf(detectors, name or " or ".join(map(part_name, detectors)))


@dataclass(frozen=True, slots=True)
class _AnyOf:
    detectors: tuple[Part, ...]
    name: str

    @property
    def features(self) -> frozenset[str]:
        return _features(self.detectors)

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        asked = (_ask(part, reference, current) for part in self.detectors)
        results = [result for result in asked if result is not None]
        if not results:
            return None
        loudest = max(_deciding(results), key=lambda result: result.effect_low or 0.0)
        p_values = [result.p_value for result in results if result.p_value is not None]
        return replace(
            loudest,
            detector=self.name,
            p_value=min(1.0, len(p_values) * min(p_values)) if p_values else None,
            why=f"{loudest.detector}: {loudest.why}",
        )


def _deciding(results: Sequence[DriftResult]) -> Sequence[DriftResult]:
    """Return the results that decide: those drifted, else those for the policy, else the rest."""
    drifted = [result for result in results if result.drifted]
    judged = [result for result in results if result.drifted is not None]
    left = [
        result for result in results if result.drifted is None and result.effect_low is not None
    ]
    return drifted or left or judged or results


def _ask(part: Part | None, reference: Distribution, current: Distribution) -> DriftResult | None:
    if part is None:
        return None
    detect = part.detect if isinstance(part, DriftDetector) else part
    found = detect(reference, current)
    if not isinstance(found, DriftResult | None):
        raise TypeError(
            f"{part_name(part)} returned a {type(found).__name__}, not a DriftResult or None"
        )
    return found


def _names(parts: Any) -> frozenset[str]:
    return frozenset().union(*map(part_names, parts))


def _features(parts: Any) -> frozenset[str]:
    return frozenset().union(*map(part_features, parts))


def _require_part(where: str, part: object) -> None:
    if isinstance(part, type):
        raise ConfigurationError(
            f"{where}: {part.__name__} is a class; give one of it, as {part.__name__}(...)"
        )
    if getattr(part, "joint", False):
        raise ConfigurationError(
            f"{where}: {part_name(part)} compares all features together; give it to the monitor "
            "beside this one, in detectors=[...]"
        )
    if not callable(part) and not isinstance(part, DriftDetector):
        raise ConfigurationError(
            f"{where}: {part!r} is no detector; give one, such as KSDetector(), or a function "
            "(reference, current) -> DriftResult"
        )
