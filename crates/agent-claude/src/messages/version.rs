//! The two API versions in use.

use std::fmt;
use std::str::FromStr;

/// A value of the `anthropic-version` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ApiVersion {
    /// 2023-06-01: the key goes in `x-api-key`; sampling parameters are accepted.
    V2023_06_01,
    /// 2026-10-21: the key goes in `authorization: Bearer`; the presence of a sampling parameter is a 400.
    #[default]
    V2026_10_21,
}

impl ApiVersion {
    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2023_06_01 => "2023-06-01",
            Self::V2026_10_21 => "2026-10-21",
        }
    }

    /// Whether a request may have `temperature`, `top_p` and `top_k`.
    pub fn accepts_sampling(self) -> bool {
        matches!(self, Self::V2023_06_01)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not a version that this client speaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown API version `{0}`; use `2026-10-21` or `2023-06-01`")]
pub struct UnknownApiVersion(pub String);

impl FromStr for ApiVersion {
    type Err = UnknownApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::V2023_06_01, Self::V2026_10_21]
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownApiVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_from_what_they_print_and_nothing_else() {
        for version in [ApiVersion::V2023_06_01, ApiVersion::V2026_10_21] {
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        let error = "2024-01-01".parse::<ApiVersion>().unwrap_err();
        assert!(error.to_string().contains("2024-01-01"), "{error}");
    }
}
