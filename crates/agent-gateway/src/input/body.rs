use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use serde::de::DeserializeOwned;

use crate::answer::Refusal;
use crate::pipeline::{RequestBody, Whole};
use crate::routes::Surface;

/// The body as `T`, and its bytes.
///
/// # Errors
/// 415 when it is not called JSON (which also keeps web pages from sending it without asking), 400 when it is none, or not
/// what is wanted; what the body's own limits say.
pub(crate) async fn json_body<T: DeserializeOwned>(
    request: Request<RequestBody>,
) -> Result<(T, Whole), Refusal> {
    let is_json = request
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| is_json(value.as_bytes()));
    if !is_json {
        let detail = "the body has to be JSON; send it with `content-type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let whole = read(request).await?;
    Ok((parsed(&whole)?, whole))
}

/// The same, where no body at all means what is usual.
pub(crate) async fn json_body_or_default<T: DeserializeOwned + Default>(
    request: Request<RequestBody>,
) -> Result<T, Refusal> {
    if request.headers().contains_key(CONTENT_TYPE) {
        return json_body(request).await.map(|(value, _)| value);
    }
    if read(request).await?.is_empty() {
        return Ok(T::default());
    }
    let detail = "the body has no type; send JSON with `content-type: application/json`, or nothing";
    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

async fn read(request: Request<RequestBody>) -> Result<Whole, Refusal> {
    let whole = request.into_body().whole().await;
    whole.map_err(|error| error.refusal(Surface::Agent))
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // A list of the fields' values would do as well for the parser, but nothing says that it does.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(refused("a list, where an object is wanted"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        let at = if place == "." {
            String::new()
        } else {
            format!(" (at `{place}`)")
        };
        refused(&format!("{}{at}", error.inner()))
    })?;
    json.end().map_err(|error| refused(&error.to_string()))?;
    Ok(value)
}

fn refused(reason: &str) -> Refusal {
    /// What a parser says may quote what it was given.
    const MAX_REASON: usize = 512;
    let reason: String = reason
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_REASON)
        .collect();
    Refusal::bad_request(format!(
        "the body can't be used: {reason}; GET /api/v1/openapi.json says what is wanted"
    ))
}

/// `application/json`, with or without parameters, in any case.
fn is_json(content_type: &[u8]) -> bool {
    let essence = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only its type matters")]
        count: u32,
    }

    #[test]
    fn what_is_wrong_is_said_and_where() {
        let detail = |body: &[u8]| format!("{:?}", parsed::<Wanted>(body).expect_err("refused"));
        assert!(detail(br#"{"count": "x"}"#).contains("at `count`"));
        assert!(detail(br#"{"count": 1, "more": 2}"#).contains("unknown field `more`"));
        assert!(detail(br#"{"count": 1} x"#).contains("trailing"));
        assert!(detail(b"\xff").contains("can't be used"));
        assert!(detail("[".repeat(100_000).as_bytes()).contains("can't be used"));
        assert!(detail(b" [1]").contains("an object is wanted"));
        assert!(parsed::<Wanted>(br#" {"count": 1} "#).is_ok());
    }

    #[test]
    fn json_is_known_by_its_name() {
        for (value, is) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonx", false),
            ("", false),
        ] {
            assert_eq!(is_json(value.as_bytes()), is, "{value}");
        }
    }
}
