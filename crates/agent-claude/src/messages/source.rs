//! Where an image's or a document's bytes come from.

use serde::{Deserialize, Serialize};

use super::{Extra, TextOrBlocks};

/// The `source` of an image or document block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The bytes themselves, in base64.
    Base64 {
        /// Such as `image/png` or `application/pdf`.
        media_type: String,
        /// Base64.
        data: String,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Fetched by the API.
    Url {
        /// Where from.
        url: String,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Uploaded before.
    File {
        /// The upload's id.
        file_id: String,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Plain text (documents only).
    Text {
        /// `text/plain`.
        media_type: String,
        /// The text.
        data: String,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// Blocks (documents only).
    Content {
        /// The blocks, or one text.
        content: TextOrBlocks,
        /// Fields that this crate does not know.
        #[serde(flatten)]
        extra: Extra,
    },
    /// A source this crate does not know, whole.
    #[serde(untagged)]
    Other(Extra),
}
