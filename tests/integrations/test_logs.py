"""The service's log: counted by level where it is written, added up over threads and processes."""

from __future__ import annotations

import gc
import logging
import logging.config
import threading
import weakref
from datetime import timedelta

import numpy as np
import pytest
import tests.service
from scipy import stats
from tests.processes import STORE, run
from tests.service import MODEL, START, reference, total
from tests.traffic import window

from mlwatch import Monitor
from mlwatch.collectors import TrafficCollector
from mlwatch.errors import ConfigurationError, DataError
from mlwatch.integrations.logs import LogCounter
from mlwatch.records import CaptureOptions, Table
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock

LEVELS = {"DEBUG": 1, "INFO": 5, "WARNING": 2, "ERROR": 3, "CRITICAL": 1}


@pytest.fixture
def monitor():
    return service()


@pytest.fixture
def logger(monitor):
    """A logger of its own, counted for the monitor."""
    yield (found := logger_of(LogCounter(monitor)))
    found.handlers.clear()


def service(**options):
    capture = CaptureOptions(spool="memory", **options)
    clock = ManualClock(START)
    return Monitor(reference(), store=MemoryStore(), model=MODEL, capture=capture, clock=clock)


def logger_of(*handlers, name="service.test"):
    found = logging.getLogger(name)
    found.propagate = False
    found.setLevel(logging.DEBUG)
    found.handlers[:] = handlers
    return found


def write(logger, levels):
    for name, lines in levels.items():
        for _ in range(lines):
            logger.log(logging.getLevelNamesMapping()[name], "a line with %s", "an argument")


def counted(monitor):
    assert monitor.flush()
    return total(monitor._store, "log")


def test_lines_are_counted_by_level(monitor, logger):
    """Each line counts at its level, and the share of errors is theirs, with Wilson's interval."""
    write(logger, LEVELS)
    report = monitor.run_cycle()
    found = {metric.labels["level"]: metric.value for metric in report.find("log_count")}
    share = report["log_error_share"]

    assert found == LEVELS
    assert (share.value, share.n) == (4 / 12, 12)
    assert share.low < share.value < share.high
    assert report["prediction_count"].value == 0


def test_the_share_of_errors_has_wilsons_interval():
    """The interval of the share of errors is scipy's, and levels that nobody used count 0."""
    view = window([["l", "m", "1", START, {"INFO": 90, "ERROR": 10}]])
    found = [*TrafficCollector().collect(view)]
    share = next(metric for metric in found if metric.name == "log_error_share")
    wilson = stats.binomtest(10, 100).proportion_ci(0.95, method="wilson")

    assert (share.low, share.high) == pytest.approx(wilson)
    assert [it.value for it in found if it.name == "log_count"] == [0, 90, 0, 10, 0]


def test_without_a_log_there_is_no_figure_of_it(monitor):
    """Where no handler counts there is no `log_count`, and no share of errors that is 0."""
    assert monitor.run_cycle().find("log_count") == ()
    assert monitor.run_cycle().find("log_error_share") == ()


@pytest.mark.parametrize(
    ("level", "counts_as", "noted"),
    [
        (25, "INFO", {}),
        (5, "DEBUG", {}),
        (0, "DEBUG", {}),
        (1000, "CRITICAL", {}),
        (-3, "DEBUG", {}),
        (np.int64(40), "ERROR", {}),
        ("warn", "WARNING", {}),
        ("fatal", "CRITICAL", {}),
        ("loud", "INFO", {"bad_level": 1}),
        (None, "INFO", {"bad_level": 1}),
        (True, "INFO", {"bad_level": 1}),
        (40.0, "INFO", {"bad_level": 1}),
    ],
)
def test_any_level_is_one_of_five(monitor, level, counts_as, noted):
    """Levels in between count as the one below, whatever is none as INFO, and that is noted."""
    monitor.record_log(level)

    assert counted(monitor) == {counts_as: 1}
    assert monitor.status().noted == noted


def test_strict_capture_raises_for_no_level_and_never_into_the_log():
    """For tests a level that is none is an error that names the remedy; a handler never raises."""
    monitor = service(strict=True)
    with pytest.raises(DataError, match="bad_level: level is the number or the name"):
        monitor.record_log("loud")
    record = logging.makeLogRecord({"levelno": "loud", "name": "odd"})

    assert LogCounter(monitor).handle(record)


def test_threads_lose_no_line(monitor, logger):
    """Lines of threads that write at once while others flush are counted to the last one."""
    stop = threading.Event()

    def flush():
        while not stop.is_set():
            monitor.flush()

    flusher = threading.Thread(target=flush)
    threads = [
        threading.Thread(target=lambda: [logger.info("line") for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in (flusher, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    flusher.join()

    assert counted(monitor) == {"INFO": 8000}


def test_a_flush_is_one_record_however_many_lines(monitor, logger):
    """A thousand lines are one record in the account, and the account balances."""
    write(logger, {"INFO": 600, "ERROR": 400})
    assert monitor.flush()
    status = monitor.status()

    assert (status.recorded, status.stored, status.dropped) == (1, 1, {})
    assert counted(monitor) == {"INFO": 600, "ERROR": 400}


def test_own_lines_are_left_out(monitor):
    """What mlwatch itself writes is not counted, so that an alert makes no share of errors rise."""
    handler = LogCounter(monitor)
    for name in ("mlwatch", "mlwatch.notifiers", "mlwatchful"):
        logger_of(handler, name=name).error("line")
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True

    assert counted(monitor) == {"ERROR": 1}


def test_a_line_that_comes_twice_counts_once(monitor):
    """A handler on a logger and on the one above it counts each line once, and equal lines each."""
    handler = LogCounter(monitor)
    logger_of(handler, name="above")
    below = logging.getLogger("above.below")
    below.addHandler(handler)
    for _ in range(3):
        below.error("line")
    below.handlers.clear()
    logging.getLogger("above").handlers.clear()

    assert counted(monitor) == {"ERROR": 3}


def test_no_line_is_kept(monitor):
    """The handler holds on to no record, with what an exception in it may hold on to."""
    record = logging.makeLogRecord({"levelno": 40, "name": "service"})
    handler = LogCounter(monitor)
    assert handler.handle(record)
    gone = weakref.ref(record)
    del record
    gc.collect()

    assert gone() is None
    assert counted(monitor) == {"ERROR": 1}


def test_filters_and_a_level_of_the_handler_hold(monitor):
    """What the handler's own level or filters keep away is not counted."""
    handler = LogCounter(monitor, level="WARNING")
    handler.addFilter(lambda record: record.levelno != logging.ERROR)
    logger = logger_of(handler)
    write(logger, LEVELS)
    logger.handlers.clear()

    assert counted(monitor) == {"WARNING": 2, "CRITICAL": 1}


def test_dict_config_makes_the_handler(monitor, monkeypatch):
    """`logging.config.dictConfig` makes it from its name, with the monitor as it is or by name."""
    named = service()
    monkeypatch.setattr(tests.service, "monitor", named, raising=False)
    for given in (monitor, "ext://tests.service.monitor"):
        logging.config.dictConfig(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {
                    "mlwatch": {"class": "mlwatch.integrations.logs.LogCounter", "monitor": given}
                },
                "loggers": {"configured": {"handlers": ["mlwatch"], "level": "INFO"}},
            }
        )
        logging.getLogger("configured").error("line")
        logging.getLogger("configured").handlers.clear()

    assert counted(monitor) == counted(named) == {"ERROR": 1}


def test_a_name_is_no_monitor():
    """The name of a monitor is refused, and the message says how a dictConfig names it."""
    with pytest.raises(ConfigurationError, match="ext://"):
        LogCounter("service.monitoring:monitor")


def test_what_was_counted_is_safe_once_the_monitor_is_closed(tmp_path):
    """Nothing that was counted before `close` is lost, and what comes after is counted as that."""
    capture = CaptureOptions(spool=tmp_path / "spool", flush_interval=timedelta(hours=1))
    monitor = Monitor(store=SQLiteStore(tmp_path / STORE), model="m", capture=capture)
    logger = logger_of(LogCounter(monitor))
    write(logger, {"ERROR": 7})
    assert monitor.close()
    logger.error("last words")
    logger.handlers.clear()

    assert _settled(tmp_path)[0] == {"ERROR": 7}
    assert monitor._recorder.stats.dropped == {"shutdown": 1}


def test_without_room_lines_go_on_being_counted():
    """While memory is full lines wait as counts, and are all there once it is not."""
    monitor = service(max_bytes=4096, flush_interval=timedelta(hours=1))
    buffer = monitor._recorder
    for i in range(100):
        monitor.record_outcome(f"id {i}", 1)
    logger = logger_of(LogCounter(monitor))
    write(logger, {"INFO": 50})
    logger.handlers.clear()
    assert monitor.flush()
    assert monitor.flush()

    assert buffer.stats.dropped.get("full", 0) > 0
    assert counted(monitor) == {"INFO": 50}


def test_a_closed_handler_counts_no_more_and_holds_no_monitor(monitor):
    """What `logging` has closed, as it does at exit, neither counts nor keeps a monitor alive."""
    handler = LogCounter(monitor)
    handler.close()
    logger = logger_of(handler)
    logger.error("line")
    logger.handlers.clear()

    assert counted(monitor) == {}
    assert monitor not in gc.get_referents(handler.__dict__)


def test_a_process_that_ends_says_nothing_of_it(tmp_path):
    """A handler of the root logger and a monitor that nobody closes end without a word."""
    run(
        """
        from mlwatch.integrations.logs import LogCounter
        logging.getLogger().addHandler(LogCounter(monitor(flush_interval=timedelta(hours=1))))
        logging.getLogger().error("line")
        """,
        tmp_path,
    )
    assert _settled(tmp_path)[0] == {"ERROR": 1}


def test_switched_off_lines_touch_nothing(monkeypatch):
    """With `MLWATCH_DISABLED=1` a line is taken and forgotten."""
    monkeypatch.setenv("MLWATCH_DISABLED", "1")
    monitor = service()
    monitor.record_log("ERROR")

    assert monitor.status().recorded == 0


@pytest.mark.parametrize("counts", [{}, {"LOUD": 1}, {"INFO": -1}, {"INFO": 1.5}, {"INFO": True}])
def test_counts_that_are_none_are_malformed(counts):
    """Counts of an unknown level, or that are no counts, change nothing and are told."""
    from mlwatch.ingest.join import join
    from mlwatch.ingest.joined import Known

    joined = join([["l", "m", "1", START, counts]], Known(), lambda _: None, {})

    assert joined.dropped == {"malformed": 1}
    assert joined.panes == {}


def test_lines_go_on_under_a_new_reference():
    """The log of a version is its own, whatever reference its predictions are counted under."""
    clock, store = ManualClock(START), MemoryStore()
    for seed in (0, 1):
        monitor = Monitor(reference(seed=seed), store=store, model=MODEL, clock=clock)
        monitor.record_log("ERROR")
        report = monitor.run_cycle()

    assert report.find("log_count", level="ERROR")[0].value == 2


def test_forked_workers_add_up(tmp_path):
    """Workers forked while lines wait to be handed over count their own, and no line twice."""
    run(
        """
        from mlwatch.integrations.logs import LogCounter
        watch = monitor(flush_interval=timedelta(hours=1))
        log = logging.getLogger("service")
        log.propagate = False
        log.setLevel(logging.INFO)
        log.addHandler(LogCounter(watch))
        for _ in range(5):
            log.info("in the parent, not yet written")
        children = []
        for number in range(4):
            child = os.fork()
            if child == 0:
                for _ in range(100):
                    log.info("in a worker")
                for _ in range(10):
                    log.error("in a worker")
                logging.shutdown()
                os._exit(0 if watch.flush(5) else 1)
            children.append(child)
        assert {os.waitpid(child, 0)[1] for child in children} == {0}
        log.critical("in the parent")
        # and no word of a flush: the process ends
        """,
        tmp_path,
    )
    lines, status = _settled(tmp_path)

    assert lines == {"INFO": 405, "ERROR": 40, "CRITICAL": 1}
    assert (status.recorded, status.stored, status.dropped) == (5, 5, {})
    assert status.noted == {}


def _settled(folder):
    """Return the lines that processes have left in a folder, and the account."""
    store = SQLiteStore(folder / STORE)
    capture = CaptureOptions(spool=folder / "spool")
    with Monitor(store=store, model="m", capture=capture) as monitor:
        assert monitor.flush(ingest=True)
        return total(store, "log"), monitor.status()


def test_the_rows_of_a_store_hold_no_line(monitor, logger):
    """What a line says is nowhere in the store: counts are all that is kept of it."""
    logger.error("a secret: %s", "hunter2")
    assert counted(monitor) == {"ERROR": 1}

    for table in Table:
        assert "hunter2" not in repr([*monitor._store.read(table)])
