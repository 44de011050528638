//! Faults on purpose: what can go wrong, how it is written, and which request it strikes.

mod book;
mod parse;

use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub(crate) use book::{FaultBook, Strike};
pub use parse::FaultError;

use crate::latency::Latency;
use crate::units;

/// The largest event that `huge-event` sends: enough to break any sane bound, small enough to build in memory.
pub const MAX_HUGE_EVENT: u64 = 64 * 1024 * 1024;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The answer comes late.
    Latency(Latency),
    /// An error answer.
    Status {
        /// 400 to 599.
        code: StatusCode,
        /// The `retry-after` header, if one is sent.
        retry_after: Option<Duration>,
    },
    /// A TCP reset before any byte of the answer.
    ResetBefore,
    /// A TCP reset after the first piece of content (of a JSON answer: after half of the body).
    ResetMid,
    /// An `error` event of this type after the first piece of content (of a JSON answer: the status).
    ErrorEvent(String),
    /// The request is taken and never answered.
    Silence,
    /// The stream begins and then only pings come.
    Pings,
    /// The stream ends cleanly, without `message_stop` (a JSON answer: half a document).
    Truncate,
    /// An event whose data is no JSON.
    Malformed,
    /// A ping of this many bytes before the answer: whoever can hold it may ignore it (of JSON: white space).
    HugeEvent(u64),
    /// The answer comes byte by byte, this long between them.
    Trickle(Duration),
    /// The content type is `text/html`.
    ContentType,
}

/// A fault, how many requests it strikes and how probably.
///
/// Written `NAME[=ARGUMENT][*COUNT][@PROBABILITY]`: `status=529*2` strikes the first two requests,
/// `reset-mid@0.1` one in ten. Without a count it strikes for ever. Faults strike `POST /v1/messages` only.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSpec {
    /// What goes wrong.
    pub fault: Fault,
    /// How many requests it strikes at most; `None` for all.
    pub count: Option<u64>,
    /// The chance with which it strikes a request, above 0 and up to 1.
    pub probability: f64,
}

/// One line of help about a kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultHelp {
    /// The name that a [`FaultSpec`] begins with.
    pub name: &'static str,
    /// An example that parses.
    pub example: &'static str,
    /// What happens, in a line.
    pub help: &'static str,
}

const ALL: &[FaultHelp] = &[
    FaultHelp {
        name: "latency",
        example: "latency=normal:200ms,50ms",
        help: "answer late: fixed:D, uniform:LOW,HIGH, normal:MEAN,DEVIATION, lognormal:MEDIAN,SIGMA or exponential:MEAN",
    },
    FaultHelp {
        name: "status",
        example: "status=529*2",
        help: "answer with this error status (400 to 599)",
    },
    FaultHelp {
        name: "429",
        example: "429=retry-after:1s*1",
        help: "answer 429 (or another status by its number), with a retry-after header",
    },
    FaultHelp {
        name: "reset-before",
        example: "reset-before*1",
        help: "reset the connection instead of answering",
    },
    FaultHelp {
        name: "reset-mid",
        example: "reset-mid*1",
        help: "reset the connection in the middle of the answer",
    },
    FaultHelp {
        name: "error-event",
        example: "error-event=overloaded*1",
        help: "send an error event in the middle of the stream: overloaded, api, rate_limit or any error type",
    },
    FaultHelp {
        name: "silence",
        example: "silence*1",
        help: "take the request and never answer",
    },
    FaultHelp {
        name: "pings",
        example: "pings*1",
        help: "start the stream, then send nothing but pings",
    },
    FaultHelp {
        name: "truncate",
        example: "truncate*1",
        help: "end the stream cleanly but without its message_stop",
    },
    FaultHelp {
        name: "malformed",
        example: "malformed*1",
        help: "send an event whose data is not JSON",
    },
    FaultHelp {
        name: "huge-event",
        example: "huge-event=8MiB*1",
        help: "send one event of this size (at most 64 MiB)",
    },
    FaultHelp {
        name: "trickle",
        example: "trickle=5ms",
        help: "send the answer byte by byte, this far apart",
    },
    FaultHelp {
        name: "content-type",
        example: "content-type*1",
        help: "say that the answer is text/html",
    },
];

impl FaultSpec {
    /// Every kind of fault, for help texts; the examples parse.
    pub fn all() -> &'static [FaultHelp] {
        ALL
    }

    /// The names of all kinds of faults.
    pub fn all_names() -> Vec<&'static str> {
        ALL.iter().map(|help| help.name).collect()
    }
}

impl fmt::Display for FaultSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::Latency(latency) => write!(f, "latency={latency}")?,
            Fault::Status {
                code,
                retry_after: None,
            } => write!(f, "status={}", code.as_u16())?,
            Fault::Status {
                code,
                retry_after: Some(after),
            } => {
                write!(
                    f,
                    "{}=retry-after:{}",
                    code.as_u16(),
                    units::show_duration(*after)
                )?;
            }
            Fault::ResetBefore => f.write_str("reset-before")?,
            Fault::ResetMid => f.write_str("reset-mid")?,
            Fault::ErrorEvent(kind) => write!(f, "error-event={kind}")?,
            Fault::Silence => f.write_str("silence")?,
            Fault::Pings => f.write_str("pings")?,
            Fault::Truncate => f.write_str("truncate")?,
            Fault::Malformed => f.write_str("malformed")?,
            Fault::HugeEvent(size) => write!(f, "huge-event={}", units::show_size(*size))?,
            Fault::Trickle(gap) => write!(f, "trickle={}", units::show_duration(*gap))?,
            Fault::ContentType => f.write_str("content-type")?,
        }
        if let Some(count) = self.count {
            write!(f, "*{count}")?;
        }
        if self.probability < 1.0 {
            write!(f, "@{}", self.probability)?;
        }
        Ok(())
    }
}
