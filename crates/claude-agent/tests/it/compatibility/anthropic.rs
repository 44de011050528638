//! The official SDKs for Python and TypeScript: a release before and one after the change of API version.

mod checks;

use std::sync::OnceLock;

use super::client::{Run, node_script, python_script, run};
use super::rig::Rig;

/// One SDK in one manner of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sdk {
    /// anthropic 2.12.0.
    Python2 { kind: &'static str },
    /// anthropic 1.17.0.
    Python1 { kind: &'static str },
    /// @anthropic-ai/sdk 1.12.0.
    TypeScript1,
    /// @anthropic-ai/sdk 0.137.0.
    TypeScript0,
}

/// Every case, `cancel` last: the client is kept running after it.
const CASES: &[&str] = &[
    "plain",
    "stream_helper",
    "stream_raw",
    "tools",
    "tools_stream",
    "thinking",
    "thinking_stream",
    "count_tokens",
    "models",
    "unknown_model",
    "beta",
    "headers",
    "retry_after",
    "overloaded_once",
    "max_tokens",
    "unknown_block",
    "big",
    "too_big",
    "huge_event",
    "wrong_key",
    "stream_error",
    "reset_mid",
    "truncate",
    "reset_mid_json",
    "truncate_json",
    "status=400",
    "status=401",
    "status=402",
    "status=403",
    "status=404",
    "status=408",
    "status=409",
    "status=413",
    "status=422",
    "status=429",
    "status=500",
    "status=503",
    "status=504",
    "status=529",
    "cancel",
];

impl Sdk {
    fn run(self) -> Result<Run, String> {
        let rig = Rig::start(&[]);
        let command = match self {
            Self::Python2 { kind } => {
                let mut command = python_script(&rig, "anthropic-python-2", "anthropic_sdk.py")?;
                command.arg(kind);
                command
            }
            Self::Python1 { kind } => {
                let mut command = python_script(&rig, "anthropic-python-1", "anthropic_sdk.py")?;
                command.arg(kind);
                command
            }
            Self::TypeScript1 => {
                let mut command = node_script(&rig, "node", "anthropic-sdk.mjs")?;
                command.arg("@anthropic-ai/sdk");
                command
            }
            Self::TypeScript0 => {
                let mut command = node_script(&rig, "node", "anthropic-sdk.mjs")?;
                command.arg("anthropic-sdk-before");
                command
            }
        };
        run(&rig, command, CASES)
    }

    fn is_python(self) -> bool {
        matches!(self, Self::Python1 { .. } | Self::Python2 { .. })
    }

    fn is_new(self) -> bool {
        matches!(self, Self::Python2 { .. } | Self::TypeScript1)
    }

    fn api_version(self) -> &'static str {
        if self.is_new() { "2026-10-21" } else { "2023-06-01" }
    }
}

/// The same tests for each SDK, which runs once.
macro_rules! tests {
    ($($name:ident: $sdk:expr;)*) => { $(
        mod $name {
            use super::*;

            static RUN: OnceLock<Result<Run, String>> = OnceLock::new();

            fn seen() -> &'static Run {
                RUN.get_or_init(|| $sdk.run()).as_ref().unwrap_or_else(|error| panic!("{error}"))
            }

            #[test]
            fn messages_come_whole_and_as_streams() {
                checks::messages(seen());
            }

            #[test]
            fn tools_are_called_and_their_results_answered() {
                checks::tools(seen());
            }

            #[test]
            fn thinking_goes_back_with_its_signature() {
                checks::thinking(seen());
            }

            #[test]
            fn tokens_are_counted_and_models_listed_page_by_page() {
                checks::catalogue(seen());
            }

            #[test]
            fn every_status_is_the_exception_that_the_sdk_has_for_it() {
                checks::statuses(seen(), $sdk);
            }

            #[test]
            fn the_daemons_own_refusals_look_like_the_apis() {
                checks::own_refusals(seen(), $sdk);
            }

            #[test]
            fn an_answer_that_breaks_is_an_error() {
                checks::broken(seen(), $sdk);
            }

            #[test]
            fn what_the_daemon_does_not_know_passes_through() {
                checks::unknown(seen(), $sdk);
            }

            #[test]
            fn limits_are_visible_and_waits_are_kept() {
                checks::waits(seen());
            }

            #[test]
            fn cancelling_ends_the_request_upstream() {
                assert!(seen().cancelled_upstream, "the daemon went on asking for nobody");
                assert_eq!(seen().case("cancel")["first"], "message_start");
            }
        }
    )* };
}

tests! {
    python_2: Sdk::Python2 { kind: "sync" };
    python_2_async: Sdk::Python2 { kind: "async" };
    python_1: Sdk::Python1 { kind: "sync" };
    python_1_async: Sdk::Python1 { kind: "async" };
    typescript_1: Sdk::TypeScript1;
    typescript_0: Sdk::TypeScript0;
}
