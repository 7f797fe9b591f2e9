"""Drift over days: two keys, episodes that open and close, and what is not known yet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.collectors.drifting import START, Service, numbers, reference

from mlwatch.collectors.drift.unusual import forget
from mlwatch.detectors import KSDetector
from mlwatch.records import AlarmBudget, DriftResult, Metric
from mlwatch.reference import Reference
from mlwatch.spans import HOUR
from mlwatch.training import PREDICTION

DAYS = reference(28)
"""A reference that knows four weeks of days."""

BARE = reference()
"""A reference of the same distribution that knows of no days."""


class TestTwoKeys:
    """Drift is what is unusual for this service and matters."""

    def test_what_is_neither_is_silent(self):
        """Three quiet weeks: no verdict of drift in any cycle, and nothing is "uncalibrated"."""
        service = Service(DAYS)
        for _ in range(21 * 4):
            service.hours(6, every=6)
            assert {result.drifted for result in service.results.values()} == {False}
            assert not any(result.caveats for result in service.results.values())

    def test_unusual_but_small_is_silent(self):
        """A shift that no day ever had, of less than the margin, is seen and not told."""
        service = Service(DAYS)
        service.hours(24, every=6, rows=2000)
        found = service.hours(72, every=6, rows=2000, x=0.12)

        assert "values/x" in service.memory["watch"]["latches"]
        assert found["x"].drifted is False
        assert found["x"].p_value < 1e-3

    def test_large_but_usual_is_silent_and_said(self):
        """Traffic that always differed from the training data is no news once that is known."""
        service = Service(BARE)
        service.days(13, x=0.6)
        before = service.results
        after = service.days(2, x=0.6)

        assert before["x"].drifted
        assert before["x"].caveats[0] == "uncalibrated"
        assert (after["x"].drifted, after["x"].why) == (False, "")
        assert after["x"].effect_low > 0.1
        assert "this much is usual for this service" in after["x"].caveats
        assert not after["y"].caveats

    def test_both_are_an_episode(self):
        """A large and unusual shift is drift, with its size, the time and its reason in words."""
        service = Service(DAYS)
        service.days(2)
        begin = service.now
        found = service.hours(30, x=1.0)

        assert found["x"].drifted
        assert found["y"].drifted is False
        assert "above the margin of 0.05" in found["x"].why
        assert f"; found {begin + HOUR:%Y-%m-%d %H:}" in found["x"].why
        assert "higher than in any hour that is usual for this service" in found["x"].why

    def test_a_flag_that_is_neither_is_unusual(self):
        """Values in between the two of a flag were never seen, though their mean is the same."""
        rng = np.random.default_rng(0)
        hours = np.repeat([START + place * HOUR for place in range(-28 * 24, 0)], 50)
        service = Service(Reference.fit({"x": rng.integers(0, 2, len(hours))}, timestamps=hours))
        service.hours(24, every=24, x=rng.integers(0, 2, 200).tolist())
        found = service.hours(12, x=[0.5] * 200)["x"]

        assert found.drifted
        assert "more values in between than in any" in found.why

    def test_a_slow_change_is_found_by_its_days(self):
        """A shift that no hour shows is unusual as a day, is remembered and found to matter."""
        service = Service(DAYS)
        hours = service.until_drifted(24 * 7, x=0.25)

        assert hours is not None
        assert "than is usual for this service's days" in service.results["x"].why

    def test_missing_values_have_a_key_of_their_own(self):
        """A column that breaks is found by the share of its missing values, hour by hour."""
        service = Service(DAYS)
        service.days(1)
        for _ in range(2):
            service.hours(1, x=[*numbers(service.rng, 120).tolist(), *[None] * 80])

        assert service.of("missing")["x"].drifted
        assert service.results["x"].drifted is False
        assert "more missing values than in any hour" in service.of("missing")["x"].why


@pytest.mark.parametrize(("shift", "hours", "words"), [(1.5, 1, "any hour"), (0.5, 6, "six hours")])
def test_what_is_sudden_is_told_when_its_span_closes(shift, hours, words):
    """A jump is drift as soon as an hour, or a slot of six, is closed; a day need not pass."""
    service = Service(DAYS)
    service.days(2)
    begin = service.now
    found = service.until_drifted(hours, x=shift)
    why = service.results["x"].why

    assert found is not None
    assert found <= hours
    if found == hours:
        assert words in why
    assert f"from {begin:%Y-%m-%d %H:%M} to" in why


class TestEpisodes:
    """An episode stays open until what was found has been gone for a day."""

    def drifted(self, **changed):
        service = Service(DAYS, windows=(timedelta(hours=24),))
        service.days(2)
        service.hours(24, x=1.5)
        assert service.results["x"].drifted
        return service

    def test_it_stays_open_while_it_lasts(self):
        """Twelve days of the same shift are one episode with one beginning."""
        service = self.drifted()
        begin = service.memory["episodes"]["x/ks"][0]
        for _ in range(12):
            assert service.days(1, x=1.5)["x"].drifted
        assert service.memory["episodes"]["x/ks"][0] == begin

    def test_it_closes_a_day_after_it_has_gone(self):
        """Its bound has to stay below half of the margin for 24 hours; then it is over."""
        service = self.drifted()
        calm = None
        while service.results["x"].drifted:
            service.hours(1)
            if calm is None and service.results["x"].effect_low < 0.025:
                calm = service.now
        assert service.now - calm == timedelta(hours=24)
        assert "x/ks" not in service.memory["episodes"]

    def test_what_is_fading_is_told_as_it_stands(self):
        """While it is open it says how much of the window is certain, were it nothing at all."""
        service, told = self.drifted(), set()
        while (found := service.hours(1)["x"]).drifted:
            first, *_, last = found.why.split("; ")
            if found.effect_low > 0.05:
                assert "above the margin of 0.05" in found.why
            else:
                assert first.startswith("higher than in any hour that is usual for this service")
                assert last.startswith("of the window as a whole ")
                told.add(last.replace(f"{found.effect_low:.3f}", "..."))
        assert told == {
            "of the window as a whole at least ... differs, within the margin",
            "of the window as a whole no difference is certain",
        }

    def test_it_closes_though_single_days_always_differ(self):
        """Where each day of the week has its own level, a calm week ends it, and for good."""
        week = [0.8, 0.8, 0.8, 0.8, 0.8, -1.5, -1.5]
        hours = [START + place * HOUR for place in range(-28 * 24, 0)]
        rows = numbers(np.random.default_rng(0), 28 * 24 * 200, np.repeat(week * 4, 24 * 200))
        service = Service(Reference.fit({"x": rows}, timestamps=np.repeat(hours, 200)))
        service.days(1, x=week[0])
        service.days(1, x=6.0)
        assert service.results["x"].drifted
        found = [service.days(1, x=week[day % 7])["x"] for day in range(2, 23)]
        assert min(result.effect_low for result in found) > 0.1
        closed = [result.drifted for result in found].index(False)

        assert 7 <= closed <= 9
        assert not any(result.drifted for result in found[closed:])

    def test_a_relapse_in_between_begins_the_day_anew(self):
        """What comes back before the day is over keeps the episode open."""
        service = self.drifted()
        begin = service.memory["episodes"]["x/ks"]
        service.hours(30)
        service.hours(6, x=1.5)
        service.hours(30)

        assert service.memory["episodes"]["x/ks"][0] == begin[0]
        assert service.results["x"].drifted

    def test_what_comes_back_later_is_a_new_one(self):
        """After it has closed the same drift opens an episode of its own."""
        service = self.drifted()
        begin = service.memory["episodes"]["x/ks"][0]
        service.days(5)
        assert service.results["x"].drifted is False
        service.hours(12, x=1.5)

        assert service.results["x"].drifted
        assert service.memory["episodes"]["x/ks"][0] > begin

    def test_silence_keeps_it(self):
        """Without enough traffic nothing is known, which does not end an episode."""
        service = self.drifted()
        begin = service.memory["episodes"]["x/ks"][0]
        found = service.hours(48, rows=0)
        assert found["x"].drifted is None
        assert found["x"].why.startswith("not enough data")
        service.hours(2, rows=200, x=1.5)

        assert service.results["x"].drifted
        assert service.memory["episodes"]["x/ks"][0] == begin


class TestUncalibrated:
    """Until fourteen whole days are known a verdict rests on the margin alone, and says so."""

    def test_it_says_so_and_takes_the_wider_margin(self):
        """Drift above 0.10 is told at once, with the caveat; what is smaller is not."""
        service = Service(BARE)
        found = service.hours(24, every=24, rows=1000, x=0.6, y=0.22)

        assert found["x"].drifted
        assert "above the margin of 0.1" in found["x"].why
        assert found["y"].drifted is False
        assert all(result.caveats[0] == "uncalibrated" for result in found.values())
        assert service.metric("calibration_days").why == "uncalibrated: 1 of 14 days"

    def test_it_compares_a_day_and_a_week(self):
        """Three days of a shift are seen in the day first, and in the week when they have gone."""
        service = Service(BARE)
        service.days(4)
        service.days(3, x=0.9)
        during = service.results["x"]
        service.days(1)
        after = service.results["x"]

        assert timedelta(hours=24) <= during.time - during.since < timedelta(hours=25)
        assert during.drifted
        assert after.drifted
        assert timedelta(days=7) <= after.time - after.since < timedelta(days=8)

    def test_it_switches_to_two_keys_after_fourteen_whole_days(self):
        """The first day was not seen whole; after fourteen more the verdicts are calibrated."""
        service = Service(BARE, start=START + 13 * HOUR)
        service.hours(11, every=11)
        for day in range(1, 15):
            service.days(1)
            known = day == 14
            assert (service.metric("calibration_days").why == "") == known
            assert service.metric("calibration_days").value == day
            caveats = {caveat for it in service.results.values() for caveat in it.caveats}
            assert ("uncalibrated" not in caveats) == known
        assert service.metric("backtest_alarms").value == 0.0
        assert service.metric("backtest_alarms").why == ("your last 14 days: 0 alarms, budget 0.5")

    def test_an_episode_of_then_ends_where_it_was_usual(self):
        """What was told while nobody knew closes once it turns out to be usual."""
        service = Service(BARE)
        service.days(13, x=0.6)
        assert "x/ks" in service.memory["episodes"]
        service.days(2, x=0.6)
        assert service.memory["episodes"] == {}


class TestBeginningAnew:
    """What is remembered belongs to one reference and one budget."""

    def test_a_new_reference_forgets(self):
        """Under another reference the watch begins from its days, without old episodes."""
        service = Service(DAYS)
        service.days(2)
        service.hours(24, x=1.5)
        assert service.memory["episodes"]
        other = reference(20, seed=5, names=("x",))
        anew = Service(other, start=service.now)
        anew.memory = service.memory
        found = anew.days(1)

        assert found["x"].drifted is False
        assert anew.memory["episodes"] == {}
        assert anew.metric("calibration_days").value == 20
        assert set(anew.memory["watch"]["baselines"]) == {"values/x", "absent/x"}

    @pytest.mark.parametrize("form", [None, 0, 1, "2"])
    def test_a_memory_of_another_form_is_begun_anew(self, form):
        """What an older or a newer version remembered is not misread: it is learnt again."""
        service = Service(DAYS)
        service.hours(24, every=24, x=1.5)
        service.memory = {"format": form, "reference": DAYS.fingerprint, "watch": "something else"}
        service.hours(24, every=24)

        assert service.metric("calibration_days").value == 28
        assert service.memory["format"] == 2

    @pytest.mark.parametrize(
        "budget", [AlarmBudget(alarms=2), AlarmBudget(drift=0.3), AlarmBudget(quality=0.1)]
    )
    def test_a_new_budget_is_tested_anew(self, budget):
        """With another budget the past is looked back on again; the state goes on."""
        service = Service(DAYS)
        service.days(2)
        before = service.memory
        changed = Service(DAYS, start=service.now, budget=budget)
        changed.panes, changed.kept, changed.memory = service.panes, service.kept, before
        changed.cycle()

        assert changed.memory["watch"] == before["watch"]
        assert changed.memory["policy"] != before["policy"]
        assert changed.metric("backtest_alarms").why.endswith(f"budget {budget.weekly * 4:.2g}")

    def test_days_of_its_own_count_where_the_reference_has_too_few(self):
        """A reference of ten days gives no baseline, before the traffic or with a new budget."""
        service = Service(reference(10))
        service.days(15)
        assert service.metric("backtest_alarms").n == 14
        changed = Service(service.reference, start=service.now, budget=AlarmBudget(alarms=2))
        changed.panes, changed.kept = service.panes, service.kept
        changed.memory = service.memory
        changed.cycle()

        assert changed.metric("backtest_alarms").n == 15

    def test_a_day_that_is_not_over_is_no_example(self):
        """A day of which an hour is to come is judged by the days before it, then counted once."""
        service = Service(reference(10))
        service.days(15)
        service.hours(23, every=23)
        service.memory = forget(service.memory, service.reference)
        service.hours(3, every=3)

        assert service.metric("calibration_days").value == 15
        assert service.memory["watch"]["known_days"] == 16

    def test_giving_up_independence_learns_from_the_days(self):
        """Rows said to be independent, then not: the days of the reference are learnt from."""
        service = Service(DAYS, assume_iid=True)
        service.days(2)
        changed = Service(DAYS, start=service.now)
        changed.panes, changed.kept, changed.memory = service.panes, service.kept, service.memory
        changed.cycle()

        assert changed.metric("calibration_days").value == 28


def test_a_day_of_which_half_was_never_seen_is_not_judged():
    """After a pause so long that a begun day was rolled up, the day is left out, not guessed at."""
    service = Service(DAYS)
    service.days(1)
    service.hours(9)
    day = service.now.replace(hour=0)
    hours, service.panes = service.panes[:24], service.panes[24:]
    rolled = replace(service.panes[0], time=day, span=timedelta(days=1))
    service.panes = [*hours, rolled]
    service.now = day + timedelta(days=4)
    service.hours(24, every=24)

    assert service.memory["watch"]["bad"] == [f"{day:%Y-%m-%d}"]


class TestMargin:
    """With a margin of 0 every change counts that is unusual."""

    def test_zero_ungates(self):
        """A shift that is unusual and small is drift, once there is a margin of 0."""
        found = []
        for margin in (None, 0.0):
            service = Service(DAYS, margin=margin)
            service.hours(24, every=6, rows=2000)
            found.append(service.hours(72, every=6, rows=2000, x=0.12)["x"].drifted)
        assert found == [False, True]

    def test_zero_is_silent_while_nothing_is_unusual(self):
        """Ten quiet days with a margin of 0 give no verdict of drift."""
        service = Service(DAYS, margin=0.0)
        for _ in range(40):
            service.hours(6, every=6)
            assert {result.drifted for result in service.results.values()} == {False}


class TestIndependentRows:
    """Where rows are said to be independent, no days are needed."""

    MANY = reference(names=tuple(f"x{i}" for i in range(20)), rows=10_000)

    def test_a_constant_that_changes_is_told_after_many_days_too(self):
        """A constant has nothing to be tested against: its size decides, and is never usual."""
        flat = {"x": [3.0] * 5000}
        service = Service(Reference.fit(flat), assume_iid=True, detectors=(KSDetector(),))
        for _ in range(16):
            service.hours(24, every=24, x=[3.0] * 200)
        service.hours(24, every=24, x=[9.0] * 200)

        assert service.results["x"].drifted
        assert "uncalibrated" in service.results["x"].caveats

    def test_a_quarter_is_found_within_hours(self):
        """.25 sd in 1 of 20 features, 200 rows an hour: found within a day, and alone."""
        service = Service(self.MANY, assume_iid=True, detectors=(KSDetector(),), margin=0.0)
        service.hours(6)
        hours = service.until_drifted(24, x3=0.25)

        assert hours is not None
        assert hours <= 12
        assert [name for name, it in service.results.items() if it.drifted] == ["x3"]
        assert "higher than chance explains" in service.results["x3"].why
        assert "uncalibrated" not in service.results["x3"].caveats
        assert service.metric("calibration_days") is None

    def test_the_budget_holds(self):
        """Eight quiet days of 20 features with no margin: not one alarm."""
        service = Service(self.MANY, assume_iid=True, detectors=(KSDetector(),), margin=0.0, seed=8)
        service.hours(8 * 24, every=8)

        assert service.memory["watch"]["latches"] == {}
        assert service.memory["episodes"] == {}


def test_the_windows_can_be_chosen():
    """Results are about the spans of the policy, and no others."""
    service = Service(DAYS, windows=(timedelta(hours=12), timedelta(hours=3)))
    service.days(2)
    service.hours(6, x=1.5)
    found = service.results["x"]

    assert found.drifted
    assert timedelta(hours=3) <= found.time - found.since < timedelta(hours=13)
    calm = service.results["y"]
    assert timedelta(hours=3) <= calm.time - calm.since < timedelta(hours=4)


def test_predictions_are_watched_and_come_first():
    """The model's own scores have their streams and their verdict, before those of features."""
    rng = np.random.default_rng(3)
    n = 20 * 24 * 50
    x, scores = numbers(rng, n), np.round(rng.random(n), 2)
    truth = rng.integers(0, 2, n)
    times = [START - 20 * 24 * HOUR + place // 50 * HOUR for place in range(n)]
    given = Reference.fit({"x": x}, predictions=scores, outcomes=truth, timestamps=times)
    service = Service(given)
    service.now = START
    for hour in range(24):
        service.hour(rows=50)
        served = np.round(rng.random(50) ** (1 if hour < 12 else 3), 2)
        tally = given.scoring.tally_predictions(served.tolist(), [None] * 50)
        pane = service.panes[-1]
        service.panes[-1] = replace(pane, tallies={**pane.tallies, **tally})
        service.cycle()
    first = next(item for item in service.items if isinstance(item, DriftResult))
    worst = service.metric("worst_drift")

    assert first.feature == PREDICTION
    assert first.drifted
    assert "lower than" in first.why
    assert service.metric("drifted_features").value == 0.0
    assert worst.value == first.effect_low
    assert worst.why == "prediction (ks)"


class TestMetrics:
    """What the collector says of itself."""

    def test_of_a_calibrated_service(self):
        """How many days it knows, what they would have alarmed, and the worst bound."""
        service = Service(DAYS)
        service.days(2)
        days, alarms = service.metric("calibration_days"), service.metric("backtest_alarms")
        worst = service.metric("worst_drift")

        assert (days.value, days.why) == (28.0, "")
        assert (alarms.value, alarms.n) == (0.0, 28)
        assert alarms.why == "your last 28 days: 0 alarms, budget 1"
        assert (worst.value, worst.why) == (0.0, "no effect is certain")

    def test_of_one_that_has_drifted(self):
        """The worst drift is the largest bound, and names its feature and detector."""
        service = Service(DAYS)
        service.days(2)
        found = service.hours(12, x=1.0, y=0.5)
        worst = service.metric("worst_drift")

        assert worst.value == max(it.effect_low for it in found.values()) == found["x"].effect_low
        assert worst.why == "x (ks)"
        count = service.metric("drifted_features")
        assert (count.value, count.why) == (2.0, "x, y")

    def test_no_two_are_alike(self):
        """Name and labels of a metric are given once a cycle."""
        service = Service(DAYS)
        service.days(1)
        metrics = [it for it in service.items if isinstance(it, Metric)]
        assert len({(m.name, *sorted(m.labels.items())) for m in metrics}) == len(metrics)
