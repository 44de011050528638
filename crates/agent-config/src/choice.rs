//! The closed sets of names that settings choose from.

use std::fmt;

use crate::suggest;

/// A text that is none of the names of a set. It says which name may have been meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct UnknownChoice {
    given: String,
    names: &'static [&'static str],
}

impl fmt::Display for UnknownChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match suggest::closest(&self.given, self.names.iter().copied()) {
            Some(name) => write!(f, "is not one of the choices; did you mean `{name}`?"),
            None => write!(f, "is not one of {}", self.names.join(", ")),
        }
    }
}

/// An enum whose variants are names in the configuration. Names are read in any case and written in one.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// Every name, as it is written in the configuration.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::choice::UnknownChoice;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if text.eq_ignore_ascii_case($text) { return Ok(Self::$variant); })+
                Err($crate::choice::UnknownChoice::new(text, Self::NAMES))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": Self::NAMES })
            }
        }
    };
}

impl UnknownChoice {
    fn new(given: &str, names: &'static [&'static str]) -> Self {
        Self {
            given: given.to_owned(),
            names,
        }
    }
}

choice! {
    /// What kind of place the agent runs in. It selects a profile of defaults, and how strict validation is.
    DeploymentEnvironment {
        /// A person's own machine.
        Development = "Development",
        /// A rehearsal of production: its protections, none of its refusals.
        Staging = "Staging",
        /// Insecure combinations of settings are refused.
        Production = "Production",
    }
}

choice! {
    /// How much is logged. Ordered: each level includes those before it.
    LogLevel {
        /// Failures that need someone.
        Error = "Error",
        /// What went wrong and was handled.
        Warn = "Warn",
        /// What a person following along wants to know.
        Info = "Info",
        /// What explains a decision.
        Debug = "Debug",
        /// Everything.
        Trace = "Trace",
    }
}

choice! {
    /// What happens to an action that no rule knows. Ordered: each level is stricter than those before it.
    WhitelistLevel {
        /// It is allowed.
        Disabled = "Disabled",
        /// It is allowed, with a warning.
        Warn = "Warn",
        /// A person is asked.
        Enforce = "Enforce",
        /// It is denied.
        Strict = "Strict",
    }
}

choice! {
    /// Who decides on what a tool wants to do.
    PermissionMode {
        /// A person is asked before every write and every command that is not known to be read-only.
        Ask = "ask",
        /// Writes in the workspace and known commands are allowed; a person is asked for the rest.
        AcceptEdits = "accept-edits",
        /// Only reading is allowed.
        Deny = "deny",
        /// The whitelist level decides, without a person.
        Policy = "policy",
    }
}

choice! {
    /// What a daemon does about something that is shared while the server that shares it can't be reached.
    WhenDown {
        /// It goes on by itself, as if it were the only one.
        Alone = "alone",
        /// It refuses what would have to be shared, until the server is back.
        Refuse = "refuse",
    }
}

choice! {
    /// How a request is signed.
    SignatureAlgorithm {
        /// A secret that client and server share.
        HmacSha256 = "hmac-sha256",
        /// The client's private key; the server knows the public one.
        Ed25519 = "ed25519",
    }
}

choice! {
    /// The version of the Messages API that requests are written for.
    ApiVersion {
        /// The first stable version.
        V2023_06_01 = "2023-06-01",
        /// The current version.
        V2026_10_21 = "2026-10-21",
    }
}

#[expect(
    clippy::derivable_impls,
    reason = "the macro that makes the type has no place for the attribute"
)]
impl Default for ApiVersion {
    fn default() -> Self {
        Self::V2026_10_21
    }
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_written_in_one() {
        assert_eq!("WARN".parse(), Ok(LogLevel::Warn));
        assert_eq!("accept-edits".parse(), Ok(PermissionMode::AcceptEdits));
        assert_eq!(
            serde_json::to_string(&PermissionMode::AcceptEdits).unwrap(),
            "\"accept-edits\""
        );
        assert_eq!(
            serde_json::from_str::<ApiVersion>("\"2023-06-01\"").unwrap(),
            ApiVersion::V2023_06_01
        );
        for name in WhitelistLevel::NAMES {
            assert_eq!(&name.parse::<WhitelistLevel>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn a_wrong_name_gets_a_suggestion_or_the_list() {
        let near = "Warm".parse::<LogLevel>().unwrap_err();
        insta::assert_snapshot!(near, @"is not one of the choices; did you mean `Warn`?");
        let far = "verbose".parse::<LogLevel>().unwrap_err();
        insta::assert_snapshot!(far, @"is not one of Error, Warn, Info, Debug, Trace");
    }

    #[test]
    fn levels_are_ordered_by_strictness() {
        assert!(WhitelistLevel::Disabled < WhitelistLevel::Warn);
        assert!(WhitelistLevel::Warn < WhitelistLevel::Enforce);
        assert!(WhitelistLevel::Enforce < WhitelistLevel::Strict);
    }
}
