"""Faults injected for real into processes that record, each ending in an exact account.

`make test` runs a short form of all, `make torture` the long one. Where a test needs a right of its
own (to mount a disk, to trace, to have process ids of its own) it is skipped without. Which test
shows what:

Rows of the torture list
    raising, odd and huge values
        tests/test_recorder.py::test_a_value_is_kept
    what cannot be kept
        tests/test_recorder.py::test_a_value_that_cannot_be_kept_costs_nothing_else
    a 10 MB string
        tests/test_recorder.py::test_a_record_that_is_too_large_is_dropped
    any payload
        test_fuzz.py::test_any_argument_is_taken
    10^6 random payloads
        test_fuzz.py::test_a_million_random_payloads_lose_no_id
    dict mutated by another thread
        test_values.py::test_what_threads_change_meanwhile_is_recorded_all_the_same
    MemoryError inside encode
        test_values.py::test_memory_that_runs_out_in_the_encoder_costs_the_value
    any allocation fails
        test_scarce_memory.py::test_any_allocation_may_fail
    record after close
        test_exits.py::test_after_close_an_id_comes_back_and_the_record_is_counted
    record in atexit, in a finaliser
        test_exits.py::test_the_last_breath_is_recorded
    everything called at shutdown
        test_exits.py::test_whatever_is_called_at_the_very_end_raises_nothing
    record after fork
        test_forks.py::test_a_fork_takes_over_nothing_that_waits
    store stalled
        test_stores.py::test_a_store_that_stalls_keeps_nobody_waiting
    store down, then back
        test_stores.py::test_a_store_that_was_down_gets_it_all
    store's disk full
        test_stores.py::test_a_store_whose_disk_is_full_gets_it_all_later
    ENOSPC
        test_disks.py::test_a_full_disk_loses_nothing_that_memory_holds
    deleted, read-only, EMFILE, RLIMIT_FSIZE, short write
        test_disks.py::test_a_disk_that_fails_and_is_mended
    EINTR, EIO
        test_disks.py::test_system_calls_that_fail_are_tried_again
    60 forks beside threads
        test_forks.py::test_forks_beside_recording_threads_are_safe
    multiprocessing
        test_forks.py::test_children_of_multiprocessing_store_everything
    import and construct
        test_resources.py::test_nothing_of_the_host_is_touched
    thread that cannot start
        test_drainers.py::test_a_host_that_can_start_no_thread_is_served
    thread that hangs
        test_drainers.py::test_a_hung_disk_hangs_no_caller
    thread that hangs for ever
        test_drainers.py::test_a_disk_that_hangs_for_ever_lets_the_process_go
    the same, and whoever flushes or closes
        test_drainers.py::test_flush_and_close_keep_to_their_timeout_while_a_disk_hangs
    handler that flushes
        test_drainers.py::test_a_signal_handler_may_flush_and_close
    with block, hanging store, SIGTERM
        test_drainers.py::test_a_with_block_that_a_signal_ends_waits_for_no_store
    thread that never runs, dies
        test_silent_drainers.py::test_a_host_whose_thread_is_silent_is_served
    process that is stopped
        test_drainers.py::test_a_process_that_is_stopped_goes_on
    exit by return, sys.exit(3)
        test_exits.py::test_a_normal_exit_stores_everything
    exit by exception
        test_exits.py::test_an_unhandled_exception_stores_everything
    spool that hangs or raises at exit
        test_exits.py::test_a_dead_spool_does_not_keep_the_process
    store that hangs or raises at exit
        test_exits.py::test_a_dead_store_does_not_keep_the_process
    24 SIGKILLs
        test_kills.py::test_a_kill_takes_the_newest_and_no_more_than_promised
    SIGKILL after a flush
        test_kills.py::test_what_was_flushed_survives_a_kill
    SIGKILL of an ingester
        test_kills.py::test_a_worker_that_is_killed_while_it_ingests_costs_nothing
    SIGKILL between two batches
        test_stores.py::test_a_store_that_is_killed_with_its_process_is_whole
    signal handler at 1 kHz
        test_signals.py::test_a_signal_handler_may_record
    2,000 finalisers
        test_signals.py::test_finalisers_may_record
    weakref callbacks
        test_signals.py::test_weakref_callbacks_may_record
    log handlers
        test_signals.py::test_a_log_handler_may_record_every_line
    two monitors on one path
        test_forks.py::test_two_monitors_on_one_path_keep_apart
    pid reuse
        test_forks.py::test_a_pid_that_comes_again_is_another_process
    clock jumping an hour
        test_clocks.py::test_a_jump_of_the_clock_stops_no_flush
    the same, in the background
        test_clocks.py::test_a_jump_of_the_clock_stops_no_ingest_and_no_cycle
    canary secret
        test_secrets.py::test_a_secret_is_in_no_log_alert_or_status
    the same, redacted
        tests/redaction/test_canary.py::test_a_secret_is_nowhere
    gunicorn, uvicorn, uwsgi by SIGTERM
        tests/integrations/test_servers.py::test_after_sigterm_every_answered_prediction_is_stored
    the same by SIGKILL
        tests/integrations/test_servers.py::test_sigkill_costs_no_more_than_the_last_moment
    the same, with a store that hangs
        tests/integrations/test_servers.py::test_a_store_that_hangs_holds_up_no_exit
    gevent
        tests/test_threads.py::test_under_gevent_the_drainer_is_a_real_thread
    1,000 monitors
        test_resources.py::test_monitors_that_come_and_go_leave_nothing
    5 million records, 8 threads
        test_resources.py::test_memory_does_not_grow_with_what_was_recorded

Promises of the contract
    1 nothing is raised
        test_fuzz.py::test_a_million_random_payloads_lose_no_id
    1 strict raises
        tests/test_recorder.py::test_strict_raises_for_bad_input
    2 nobody waits
        test_stores.py::test_a_store_that_stalls_keeps_nobody_waiting
    4 memory is bounded
        tests/test_recorder.py::test_memory_is_bounded_and_outcomes_have_a_reserve
    5 every loss is counted
        test_disks.py::test_a_disk_that_fails_and_is_mended
    6 ids never repeat
        test_forks.py::test_forks_beside_recording_threads_are_safe
    7 features are taken at the call
        tests/test_recorder.py::test_what_the_host_changes_later_changes_nothing
    8 nothing is started
        test_resources.py::test_nothing_of_the_host_is_touched
    9 forks are safe
        test_forks.py::test_a_child_may_close_or_collect_what_its_parent_uses
    10 any host is served
        test_silent_drainers.py::test_a_host_whose_thread_is_silent_is_served
    11 a normal exit stores everything
        test_exits.py::test_a_normal_exit_stores_everything
    12 what is dead keeps nobody
        test_exits.py::test_a_dead_spool_does_not_keep_the_process
    13 SIGKILL takes little
        test_kills.py::test_a_kill_takes_the_newest_and_no_more_than_promised
    14 the host is untouched
        test_resources.py::test_nothing_of_the_host_is_touched
    14 its wish to stop is obeyed
        test_signals.py::test_a_handler_that_ends_the_process_is_obeyed
    15 safe where code runs unasked
        test_signals.py::test_a_signal_handler_may_record
    16 recording never logs
        test_secrets.py::test_a_secret_is_in_no_log_alert_or_status
    16 a reason is told once a minute
        tests/test_recorder.py::test_the_log_is_told_each_reason_once
    17 a failing drainer recovers
        test_disks.py::test_system_calls_that_fail_are_tried_again
    17 what nobody can decode costs itself
        tests/test_spool.py::test_bytes_that_are_no_record_cost_no_other_record
    18 a failing disk clears
        test_disks.py::test_a_disk_that_fails_and_is_mended
    19 clocks may jump
        test_clocks.py::test_a_jump_of_the_clock_stops_no_flush
    20 redaction comes first
        tests/redaction/test_canary.py::test_a_secret_is_nowhere
    21 NaN, None and missing
        tests/test_recorder.py::test_missing_is_not_none_is_not_nan
    22 any number of monitors
        test_resources.py::test_monitors_that_come_and_go_leave_nothing
    23 flush and close say so
        tests/test_monitor.py::test_close_says_when_not_all_was_stored
    23 and keep to their timeout
        tests/test_monitor.py::test_a_store_that_hangs_holds_up_nobody_beyond_the_timeout
    24 switched off
        tests/test_monitor.py::test_switched_off_nothing_is_touched

3 is benchmarks/capture.py.
"""
