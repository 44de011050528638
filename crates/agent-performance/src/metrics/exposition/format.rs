//! Which of the two formats a client wants.

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, version 0.0.4: what is given to whoever does not ask.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of the `content-type` header.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format for an `accept` header, by its weights. OpenMetrics must be named: a wildcard, a header that can't be
    /// read or none at all gets the format that everything understands.
    pub fn for_accept(accept: Option<&str>) -> Self {
        let mut best = (0.0, Format::Prometheus);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => Format::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Format::Prometheus,
                _ => continue,
            };
            let mut weight = 1.0;
            for parameter in parts {
                if let Some(given) = parameter.strip_prefix("q=") {
                    weight = given.parse().unwrap_or(0.0);
                }
            }
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::Format::{self, OpenMetrics, Prometheus};

    #[test]
    fn the_weights_of_the_accept_header_decide() {
        for (accept, format) in [
            (None, Prometheus),
            (Some(""), Prometheus),
            (Some("*/*"), Prometheus),
            (Some("text/html, nonsense;;q=,"), Prometheus),
            (Some("application/openmetrics-text"), OpenMetrics),
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OpenMetrics,
            ),
            (
                Some("text/plain;q=0.9, application/openmetrics-text; q=0.5"),
                Prometheus,
            ),
            (Some("application/openmetrics-text;q=0"), Prometheus),
            (Some("application/openmetrics-text;q=x, */*;q=0.1"), Prometheus),
        ] {
            assert_eq!(Format::for_accept(accept), format, "{accept:?}");
        }
    }
}
