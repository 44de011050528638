//! The files of the page, with what browsers have to keep to while they show it.

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::sync::OnceLock;

use crate::answer::{Answer, AnswerBody, Refusal};

/// Only what this server itself sends is run, shown or asked: no inline script or style, nothing remote.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const SCRIPT: &str = "text/javascript; charset=utf-8";

struct File {
    path: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! file {
    ($path:literal, $kind:expr, $name:literal) => {
        File {
            path: $path,
            kind: $kind,
            content: include_str!(concat!("../../../../ui/", $name)),
        }
    };
}

static FILES: &[File] = &[
    file!("/", "text/html; charset=utf-8", "index.html"),
    file!("/ui/style.css", "text/css; charset=utf-8", "style.css"),
    file!("/ui/icon.svg", "image/svg+xml", "icon.svg"),
    file!("/ui/app.js", SCRIPT, "app.js"),
    file!("/ui/api.js", SCRIPT, "api.js"),
    file!("/ui/html.js", SCRIPT, "html.js"),
    file!("/ui/transcript.js", SCRIPT, "transcript.js"),
    file!("/ui/views/chat.js", SCRIPT, "views/chat.js"),
    file!("/ui/components/markdown.js", SCRIPT, "components/markdown.js"),
    file!("/ui/components/items.js", SCRIPT, "components/items.js"),
    file!("/ui/vendor/preact.js", SCRIPT, "vendor/preact.js"),
    file!("/ui/vendor/hooks.js", SCRIPT, "vendor/hooks.js"),
    file!("/ui/vendor/htm.js", SCRIPT, "vendor/htm.js"),
    file!("/ui/vendor/marked.js", SCRIPT, "vendor/marked.js"),
    file!("/ui/vendor/purify.js", SCRIPT, "vendor/purify.js"),
];

/// The file at `path`; only its tag, when the browser has it already.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Result<Answer, Refusal> {
    let Some(place) = FILES.iter().position(|file| file.path == path) else {
        return Err(Refusal::not_found("there is no such file of the page"));
    };
    let file = &FILES[place];
    let tag = &tags()[place];
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known == tag);
    let mut answer = if is_known {
        let mut answer = Answer::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        answer
    } else {
        Answer::new(AnswerBody::from(file.content))
    };
    let answered = answer.headers_mut();
    answered.insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    answered.insert(CONTENT_SECURITY_POLICY, POLICY);
    // Asked for again each time, and not sent again: a new version of the program is a new page at once.
    answered.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answered.insert(ETAG, tag);
    }
    Ok(answer)
}

fn tags() -> &'static [String] {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    TAGS.get_or_init(|| {
        FILES
            .iter()
            .map(|file| format!("\"{}\"", &sum(file.content)[..32]))
            .collect()
    })
}

fn sum(content: &str) -> String {
    Sha256::digest(content)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_those_that_are_listed() {
        let list = include_str!("../../../../ui/vendor/README.md");
        for file in FILES {
            let Some(name) = file.path.strip_prefix("/ui/vendor/") else {
                continue;
            };
            let row = list.lines().find(|line| line.contains(&format!("| {name} |")));
            assert!(row.is_some_and(|row| row.contains(&sum(file.content))), "{name}");
        }
    }

    #[test]
    fn the_page_is_small_and_has_no_inline_script_and_nothing_remote() {
        let whole: usize = FILES.iter().map(|file| file.content.len()).sum();
        assert!(whole < 300 * 1024, "{whole}");
        let page = FILES[0].content;
        for forbidden in ["http:", "https:", "style=", "onclick", "<style"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script type=\"module\" src=\"/ui/").count()
        );
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let first = answer("/", &HeaderMap::new()).unwrap();
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
        let again = answer("/", &headers).unwrap();
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(answer("/ui/../Cargo.toml", &HeaderMap::new()).is_err());
    }
}
