"""The dashboard *GitOps*: which generation serves, what became of each commit, and how the processes do."""

from __future__ import annotations

from gateway.dashboards.board import Board, Section
from gateway.dashboards.panels import About, Query, graph, number
from gateway.dashboards.promql import JOB, ROUTER, over_range, per_second, steps

_RELOADS = "llm_relay_config_reloads_total"
_INFO = f"llm_relay_config_info{{{JOB}}}"
_SUCCESSFUL = f"llm_relay_config_last_reload_successful{{{JOB}}}"
_APPLIED_AT = f"llm_relay_config_last_reload_success_timestamp_seconds{{{JOB}}}"
_SESSIONS = f"llm_relay_sessions{{{JOB}}}"
_AGE = f"llm_relay_intelligence_age_seconds{{{ROUTER}}}"
_PROCESS = "With several workers an instance has no figures of its processes."

_GLANCE = Section(
    1,
    "At a glance",
    (
        number(
            About(2, "Generation", "short", "The configuration's digest and commit; two while instances change over."),
            Query(f"count by (revision, commit) ({_INFO})", "{{revision}} {{commit}}"),
            width=8,
            named=True,
        ),
        number(
            About(3, "Last applied", "dateTimeFromNow", "When an instance last took over a configuration, or started."),
            Query(f"1000 * max({_APPLIED_AT})", "applied"),
        ),
        number(
            About(4, "On disk", "short", "Whether every instance serves the configuration as it is on disk."),
            Query(f"min({_SUCCESSFUL})", "served"),
            colours=((None, "red"), (1, "green")),
            texts={"0": "refused", "1": "served"},
        ),
        number(
            About(5, "Applied", "short", "Changes applied in the range shown, counted by every instance."),
            Query(over_range(_RELOADS, f'{JOB}, outcome="applied"'), "applied"),
        ),
        number(
            About(6, "Refused", "short", "Changes refused in the range shown, counted by every instance."),
            Query(over_range(_RELOADS, f'{JOB}, outcome="refused"'), "refused"),
            colours=((None, "green"), (0.5, "red")),
        ),
    ),
)

_CHANGES = Section(
    10,
    "Changes",
    (
        graph(
            About(11, "Instances by generation", "short", "How a change spreads: one colour at rest, two on the way."),
            Query(f"count by (revision, commit) ({_INFO})", "{{revision}} {{commit}}"),
            stacked=True,
        ),
        graph(
            About(12, "Reloads by outcome", "short", "Changes read from disk, and what became of them."),
            Query(steps(_RELOADS, JOB, "outcome"), "{{outcome}}"),
            steps=True,
        ),
        graph(
            About(
                13,
                "Served as on disk",
                "bool",
                "False while a change is refused: the generation before it serves on. `llm-relay validate`, /status "
                "and the log say why, with file and line.",
            ),
            Query(f"min by (instance) ({_SUCCESSFUL})", "{{instance}}"),
        ),
        graph(
            About(14, "Age of the generation", "s", "Since an instance applied what it serves, or started."),
            Query(f"time() - max by (instance) ({_APPLIED_AT})", "{{instance}}"),
        ),
    ),
)

_PROCESSES = Section(
    20,
    "Processes",
    (
        graph(
            About(21, "Sessions", "short", "Conversations and open tool loops that are remembered."),
            Query(f"max by (instance) ({_SESSIONS})", "{{instance}}"),
        ),
        graph(
            About(22, "Memory", "bytes", f"Resident set of an instance. {_PROCESS}"),
            Query(f"max by (instance) (process_resident_memory_bytes{{{JOB}}})", "{{instance}}"),
        ),
        graph(
            About(23, "CPU", "percentunit", f"Of one core: one worker cannot use more than that. {_PROCESS}"),
            Query(per_second("process_cpu_seconds_total", JOB, "instance"), "{{instance}}"),
        ),
        graph(
            About(24, "Open files", "percentunit", f"Sockets above all, of as many as are allowed. {_PROCESS}"),
            Query(f"max by (instance) (process_open_fds{{{JOB}}} / process_max_fds{{{JOB}}})", "{{instance}}"),
        ),
    ),
)

_INTELLIGENCE = Section(
    30,
    "Model intelligence",
    (
        graph(
            About(
                31,
                "Age of the assessments",
                "s",
                "Since each candidate was assessed, for routers that ask for it. `llm-relay intelligence refresh` "
                "takes it back to zero; without it an assessment expires, and the designator decides without one.",
            ),
            Query(f"max by (router, candidate) ({_AGE})", "{{router}} {{candidate}}"),
            width=24,
        ),
    ),
)

BOARD = Board(
    "gitops",
    "GitOps",
    "Which commit serves, what became of each change, and how the processes do.",
    (_GLANCE, _CHANGES, _PROCESSES, _INTELLIGENCE),
    choices=("router",),
)
