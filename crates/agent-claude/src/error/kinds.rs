//! The API's kinds of error and the statuses they come with: one table for both directions.

/// A status's own kind stands first where it has several, and a kind's own status where it has several.
pub(super) const KINDS: &[(u16, &str)] = &[
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (504, "timeout_error"),
    (408, "timeout_error"),
    (409, "conflict_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (500, "api_error"),
    (529, "overloaded_error"),
];

/// The `error.type` that the API gives with `status`.
pub fn kind_of_status(status: u16) -> &'static str {
    let listed = KINDS.iter().find(|(listed, _)| *listed == status);
    listed.map_or(
        if status < 500 {
            "invalid_request_error"
        } else {
            "api_error"
        },
        |(_, kind)| kind,
    )
}

/// The status that the API gives with an error of `kind`; 500 for a kind that is not known.
pub fn status_of_kind(kind: &str) -> u16 {
    let listed = KINDS.iter().find(|(_, listed)| *listed == kind);
    listed.map_or(500, |(status, _)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_statuses_answer_each_other() {
        for status in [400, 401, 402, 403, 404, 409, 413, 429, 500, 504, 529] {
            assert_eq!(status_of_kind(kind_of_status(status)), status);
        }
        assert_eq!(kind_of_status(408), "timeout_error");
        assert_eq!(kind_of_status(422), "invalid_request_error");
        assert_eq!(kind_of_status(503), "api_error");
        assert_eq!(status_of_kind("brand_new_error"), 500);
    }
}
