//! The official SDKs for Python and TypeScript: a release before and one after the change of API version.

mod checks;

use std::process::Command;

use super::client::{Client, node_script, python_script};
use super::expect::STATUS_CASES;
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
    "plain stream_helper stream_raw tools tools_stream thinking thinking_stream count_tokens models unknown_model beta headers",
    "retry_after overloaded_once max_tokens unknown_block big too_big huge_event wrong_key",
    "stream_error reset_mid truncate reset_mid_json truncate_json",
    STATUS_CASES,
    "cancel",
];

impl Sdk {
    fn script(self, rig: &Rig) -> Result<Command, String> {
        let (mut command, how) = match self {
            Self::Python2 { kind } => (
                python_script(rig, "anthropic-python-2", "anthropic_sdk.py")?,
                kind,
            ),
            Self::Python1 { kind } => (
                python_script(rig, "anthropic-python-1", "anthropic_sdk.py")?,
                kind,
            ),
            Self::TypeScript1 => (
                node_script(rig, "node", "anthropic-sdk.mjs")?,
                "@anthropic-ai/sdk",
            ),
            Self::TypeScript0 => (
                node_script(rig, "node", "anthropic-sdk.mjs")?,
                "anthropic-sdk-before",
            ),
        };
        command.arg(how);
        Ok(command)
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

            static CLIENT: Client = Client::new(|rig| $sdk.script(rig), CASES);

            #[test]
            fn messages_come_whole_and_as_streams() {
                checks::messages(CLIENT.seen());
            }

            #[test]
            fn tools_are_called_and_their_results_answered() {
                checks::tools(CLIENT.seen());
            }

            #[test]
            fn thinking_goes_back_with_its_signature() {
                checks::thinking(CLIENT.seen());
            }

            #[test]
            fn tokens_are_counted_and_models_listed_page_by_page() {
                checks::catalogue(CLIENT.seen());
            }

            #[test]
            fn every_status_is_the_exception_that_the_sdk_has_for_it() {
                checks::statuses(CLIENT.seen(), $sdk);
            }

            #[test]
            fn the_daemons_own_refusals_look_like_the_apis() {
                checks::own_refusals(CLIENT.seen(), $sdk);
            }

            #[test]
            fn an_answer_that_breaks_is_an_error() {
                checks::broken(CLIENT.seen(), $sdk);
            }

            #[test]
            fn what_the_daemon_does_not_know_passes_through() {
                checks::unknown(CLIENT.seen(), $sdk);
            }

            #[test]
            fn limits_are_visible_and_waits_are_kept() {
                checks::waits(CLIENT.seen());
            }

            #[test]
            fn cancelling_ends_the_request_upstream() {
                assert!(CLIENT.seen().cancelled_upstream, "the daemon went on asking for nobody");
                assert_eq!(CLIENT.seen().case("cancel")["first"], "message_start");
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
