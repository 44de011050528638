//! The text that is signed.

use std::borrow::Cow;

use http::header::HOST;
use http::request::Parts;
use http::uri::Scheme;
use http::{HeaderMap, Method};

use super::SignatureError;
use super::fields::{Input, MAX_HEADER_BYTES};

/// The parts of a request that signatures cover.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    method: &'a Method,
    authority: String,
    path: &'a str,
    query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

impl<'a> Message<'a> {
    /// The message of a request as hyper gives it, which came by `scheme` (of which the target of a request to a server says nothing).
    ///
    /// # Errors
    /// It names no host, or two.
    pub fn of(parts: &'a Parts, scheme: &Scheme) -> Result<Self, SignatureError> {
        let authority = match parts.uri.authority() {
            Some(authority) => Cow::Borrowed(authority.as_str()),
            None => only_host(&parts.headers)?,
        };
        Ok(Self {
            method: &parts.method,
            authority: normalized(&authority, scheme),
            path: match parts.uri.path() {
                "" => "/",
                path => path,
            },
            query: parts.uri.query(),
            headers: &parts.headers,
        })
    }

    /// The signature base of RFC 9421, section 2.5.
    pub(super) fn base(&self, input: &Input) -> Result<Vec<u8>, SignatureError> {
        let mut base = Vec::new();
        for component in &input.components {
            base.extend_from_slice(format!("\"{component}\": ").as_bytes());
            base.extend_from_slice(&self.component(component)?);
            base.push(b'\n');
        }
        base.extend_from_slice(b"\"@signature-params\": ");
        base.extend_from_slice(input.serialize().as_bytes());
        Ok(base)
    }

    fn component(&self, name: &str) -> Result<Cow<'_, [u8]>, SignatureError> {
        match name {
            "@method" => Ok(Cow::Borrowed(self.method.as_str().as_bytes())),
            "@authority" => Ok(Cow::Borrowed(self.authority.as_bytes())),
            "@path" => Ok(Cow::Borrowed(self.path.as_bytes())),
            "@query" => Ok(Cow::Owned(
                format!("?{}", self.query.unwrap_or_default()).into_bytes(),
            )),
            _ => self
                .header(name)
                .ok_or_else(|| SignatureError::NoSuchComponent(name.to_owned())),
        }
    }

    /// All lines of a header as one; `None` when there is none, or the name isn't one in lower case.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        // `HeaderMap` would find `Date` for `date`; the signed text has one spelling.
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let mut lines = self.headers.get_all(name).iter();
        let mut value = Cow::Borrowed(lines.next()?.as_bytes().trim_ascii());
        for line in lines {
            let value = value.to_mut();
            value.extend_from_slice(b", ");
            value.extend_from_slice(line.as_bytes().trim_ascii());
        }
        Some(value)
    }

    /// The header as text; `None` when there is none.
    pub(super) fn text_header(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, SignatureError> {
        let Some(value) = self.header(name) else {
            return Ok(None);
        };
        if value.len() > MAX_HEADER_BYTES {
            return Err(SignatureError::Malformed("a header is too long"));
        }
        let not_text = SignatureError::Malformed("a header is not text");
        match value {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
                .map(Cow::Borrowed)
                .map_err(|_| not_text),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_text),
        }
        .map(Some)
    }
}

fn only_host(headers: &HeaderMap) -> Result<Cow<'_, str>, SignatureError> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next().map(http::HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) => Ok(Cow::Borrowed(host.trim())),
        _ => Err(SignatureError::Malformed("the request does not name one host")),
    }
}

/// In lower case, without the port that the scheme stands for.
fn normalized(authority: &str, scheme: &Scheme) -> String {
    let authority = authority.to_ascii_lowercase();
    let default = if *scheme == Scheme::HTTPS { ":443" } else { ":80" };
    match authority.strip_suffix(default) {
        // Of `[::1]:80` the address remains; `::80` is no authority.
        Some(host) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => host.to_owned(),
        _ => authority,
    }
}
