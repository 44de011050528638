//! The agent: its runs, tools, sessions, and their store.

use super::bounds::MILLISECONDS;
use super::{Declaration, MetricUnit};

/// Powers of four, from a line of text to more than any tool gives back.
const RESULT_BYTES: &[f64] = &[
    64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0,
];

pub(super) const ROWS: &[Declaration] = &[
    Declaration::counter("agent.turns", "Whole answers of the model within runs", &[]),
    Declaration::counter(
        "agent.replays",
        "Answers that broke off in the middle and were asked for again",
        &[],
    ),
    Declaration::counter(
        "agent.compactions",
        "Conversations whose old part was replaced by a summary",
        &[],
    ),
    Declaration::counter(
        "agent.compaction_failures",
        "Conversations that should have been compacted and could not be",
        &[],
    ),
    Declaration::gauge("sessions.open", MetricUnit::Count, "Sessions that are open", &[]),
    Declaration::histogram(
        "tools.queue",
        MetricUnit::Milliseconds,
        "Time that a tool call waited for conflicting calls and for room to run; time to approve it is not counted",
        &["gen_ai.tool.name"],
        MILLISECONDS,
    ),
    Declaration::histogram(
        "tools.output_bytes",
        MetricUnit::Bytes,
        "Size of a tool call's result",
        &["gen_ai.tool.name"],
        RESULT_BYTES,
    ),
    Declaration::histogram(
        "store.write.queue",
        MetricUnit::Milliseconds,
        "Time that a change to the session store waited for its turn",
        &[],
        MILLISECONDS,
    ),
    Declaration::histogram(
        "store.write.commit",
        MetricUnit::Milliseconds,
        "Time of a transaction of the session store, which may hold several changes, until it is on the disk",
        &[],
        MILLISECONDS,
    ),
    Declaration::counter(
        "store.write.failures",
        "Changes to the session store that were refused or failed",
        &["error.type"],
    ),
];
