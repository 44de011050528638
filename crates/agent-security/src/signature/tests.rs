use http::{HeaderMap, HeaderName, HeaderValue, Request};
use httpsig::prelude as oracle;
use proptest::prelude::*;

use super::*;

mod vectors;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_795_000_000;
const BODY: &[u8] = br#"{"prompt":"hello"}"#;

fn keys() -> [SigningKey; 2] {
    [
        SigningKey::hmac_sha256("shared", SECRET).unwrap(),
        SigningKey::ed25519("own", &[7; 32]).unwrap(),
    ]
}

fn verifier() -> Verifier {
    Verifier::new(keys().map(|key| key.verifying_key()))
}

fn unsigned() -> Request<()> {
    Request::post("/api/v1/sessions?limit=3&order=new")
        .header("host", "localhost:8642")
        .header("content-type", "application/json")
        .body(())
        .unwrap()
}

fn signed(key: &SigningKey) -> Request<()> {
    let mut request = unsigned();
    sign(&mut request, BODY, key, &Scheme::HTTP, NOW).unwrap();
    request
}

fn verify_at(request: &Request<()>, now: u64) -> Result<Verified, SignatureError> {
    let (parts, ()) = request.clone().into_parts();
    verifier().verify(&Message::of(&parts, &Scheme::HTTP)?, now)
}

fn verify(request: &Request<()>) -> Result<Verified, SignatureError> {
    verify_at(request, NOW)
}

#[test]
fn what_was_signed_is_accepted_with_its_body() {
    for key in keys() {
        let verified = verify(&signed(&key)).unwrap();
        assert_eq!(&*verified.key_id, key.id());
        verified.check_body(BODY).unwrap();
        let mut pieces = verified.body_digest();
        BODY.chunks(5).for_each(|piece| pieces.update(piece).unwrap());
        pieces.finish().unwrap();
        for wrong in [&b""[..], &BODY[1..], b"{\"prompt\":\"hellO\"}"] {
            assert_eq!(verified.check_body(wrong), Err(SignatureError::WrongBody));
        }
    }
}

#[test]
fn a_request_without_a_body_may_not_get_one() {
    let mut request = Request::get("http://localhost:80/").body(()).unwrap();
    sign(&mut request, b"", &keys()[0], &Scheme::HTTP, NOW).unwrap();
    let verified = verify(&request).unwrap();
    verified.check_body(b"").unwrap();
    assert_eq!(
        verified.check_body(b"x"),
        Err(SignatureError::NotCovered("content-digest"))
    );
    // The same request as a server sees it: no authority in its target, no port for the usual one.
    *request.uri_mut() = "/".parse().unwrap();
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("LocalHost"));
    drop(verify(&request).unwrap());
    request
        .headers_mut()
        .append("host", HeaderValue::from_static("localhost"));
    assert!(
        matches!(verify(&request), Err(SignatureError::Malformed(_))),
        "two hosts"
    );
}

#[test]
fn anything_changed_is_noticed() {
    type Change = fn(&mut Request<()>);
    let set = |name: &'static str, value: &'static str| {
        move |request: &mut Request<()>| {
            request
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
    };
    let changes: [(&str, Change, SignatureError); 6] = [
        (
            "method",
            |r| *r.method_mut() = http::Method::PUT,
            SignatureError::Wrong,
        ),
        (
            "path",
            |r| *r.uri_mut() = "/api/v1/session?limit=3&order=new".parse().unwrap(),
            SignatureError::Wrong,
        ),
        (
            "query",
            |r| *r.uri_mut() = "/api/v1/sessions?limit=4&order=new".parse().unwrap(),
            SignatureError::Wrong,
        ),
        (
            "no query",
            |r| *r.uri_mut() = "/api/v1/sessions".parse().unwrap(),
            SignatureError::Wrong,
        ),
        (
            "no digest",
            |r| drop(r.headers_mut().remove("content-digest")),
            SignatureError::NoSuchComponent("content-digest".into()),
        ),
        (
            "no type",
            |r| drop(r.headers_mut().remove("content-type")),
            SignatureError::NoSuchComponent("content-type".into()),
        ),
    ];
    for key in keys() {
        for (what, change, expected) in &changes {
            let mut request = signed(&key);
            change(&mut request);
            assert_eq!(verify(&request).unwrap_err(), *expected, "{what}");
        }
        for change in [
            set("host", "localhost:8643"),
            set("content-type", "text/plain"),
            set(
                "content-digest",
                "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
            ),
        ] {
            let mut request = signed(&key);
            change(&mut request);
            assert_eq!(verify(&request).unwrap_err(), SignatureError::Wrong);
        }
    }
}

#[test]
fn headers_of_a_body_added_later_are_noticed() {
    let mut request = Request::get("/").header("host", "localhost").body(()).unwrap();
    sign(&mut request, b"", &keys()[0], &Scheme::HTTP, NOW).unwrap();
    request
        .headers_mut()
        .insert("content-digest", content_digest(b"x"));
    assert_eq!(
        verify(&request).unwrap_err(),
        SignatureError::NotCovered("content-digest")
    );
    request.headers_mut().remove("content-digest");
    request
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("text/plain"));
    assert_eq!(
        verify(&request).unwrap_err(),
        SignatureError::NotCovered("content-type")
    );
}

#[test]
fn one_key_never_passes_for_another() {
    for (key, other) in [("shared", "own"), ("own", "shared")] {
        let key = keys().into_iter().find(|known| known.id() == key).unwrap();
        let mut request = signed(&key);
        let input = request.headers()["signature-input"]
            .to_str()
            .unwrap()
            .replace(key.id(), other);
        request
            .headers_mut()
            .insert("signature-input", input.try_into().unwrap());
        assert_eq!(verify(&request).unwrap_err(), SignatureError::Wrong);
    }
    let stranger = SigningKey::hmac_sha256("stranger", SECRET).unwrap();
    assert_eq!(
        verify(&signed(&stranger)).unwrap_err(),
        SignatureError::UnknownKey
    );
    // The public key of a client is no shared secret: the algorithm is the key's, whatever the signature says.
    let public = verifier();
    let confused = SigningKey::hmac_sha256("own", &[7; 32]).unwrap();
    let (parts, ()) = signed(&confused).into_parts();
    let error = public
        .verify(&Message::of(&parts, &Scheme::HTTP).unwrap(), NOW)
        .unwrap_err();
    assert_eq!(error, SignatureError::Wrong);
}

#[test]
fn a_signature_counts_for_five_minutes() {
    let request = signed(&keys()[0]);
    for good in [NOW - CLOCK_SKEW_SECONDS, NOW, NOW + MAX_AGE_SECONDS - 1] {
        drop(verify_at(&request, good).unwrap());
    }
    assert_eq!(
        verify_at(&request, NOW + MAX_AGE_SECONDS).unwrap_err(),
        SignatureError::Expired
    );
    assert_eq!(
        verify_at(&request, NOW - CLOCK_SKEW_SECONDS - 1).unwrap_err(),
        SignatureError::FromTheFuture
    );
    assert_eq!(
        verify_at(&request, u64::MAX).unwrap_err(),
        SignatureError::Expired
    );
}

/// Signs by hand with parameters that [`sign`] would not use.
fn signed_with(parameters: &str, components: &str) -> Request<()> {
    let mut request = unsigned();
    request
        .headers_mut()
        .insert("content-digest", content_digest(BODY));
    let header = format!("s=({components}){parameters}");
    let (parts, ()) = request.clone().into_parts();
    let input = fields::inputs(&header).unwrap().remove(0).1;
    let base = Message::of(&parts, &Scheme::HTTP).unwrap().base(&input).unwrap();
    let signature = keys()[0].signature(&base);
    let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, signature);
    request
        .headers_mut()
        .insert("signature-input", header.try_into().unwrap());
    request
        .headers_mut()
        .insert("signature", format!("s=:{signature}:").try_into().unwrap());
    request
}

const ALL: &str = r#""@method" "@authority" "@path" "@query" "content-digest" "content-type""#;

#[test]
fn right_signatures_that_promise_too_little_are_refused() {
    let good = r#";created=1795000000;keyid="shared";nonce="0123456789abcdef""#;
    drop(verify(&signed_with(good, ALL)).unwrap());
    drop(
        verify(&signed_with(
            &format!("{good};alg=\"hmac-sha256\";tag=\"x\";expires=1795000001"),
            ALL,
        ))
        .unwrap(),
    );
    let long = "x".repeat(129);
    let cases = [
        (
            r#";keyid="shared";nonce="0123456789abcdef""#.to_owned(),
            SignatureError::NoParameter("created"),
        ),
        (
            r#";created=1795000000;keyid="shared""#.to_owned(),
            SignatureError::NoParameter("nonce"),
        ),
        (
            r#";created=1795000000;nonce="0123456789abcdef""#.to_owned(),
            SignatureError::UnknownKey,
        ),
        (
            r#";created="1795000000";keyid="shared";nonce="0123456789abcdef""#.to_owned(),
            SignatureError::NoParameter("created"),
        ),
        (
            format!("{good};alg=\"ed25519\""),
            SignatureError::WrongAlgorithm("hmac-sha256"),
        ),
        (format!("{good};expires=1795000000"), SignatureError::Expired),
        (
            good.replace("0123456789abcdef", "short"),
            SignatureError::Malformed("a nonce has 16 to 128 characters"),
        ),
        (
            good.replace("0123456789abcdef", &long),
            SignatureError::Malformed("a nonce has 16 to 128 characters"),
        ),
    ];
    for (parameters, expected) in cases {
        assert_eq!(
            verify(&signed_with(&parameters, ALL)).unwrap_err(),
            expected,
            "{parameters}"
        );
    }
    for missing in ALL.split(' ') {
        let components: Vec<&str> = ALL.split(' ').filter(|name| *name != missing).collect();
        let error = verify(&signed_with(good, &components.join(" "))).unwrap_err();
        assert!(
            matches!(error, SignatureError::NotCovered(name) if missing.contains(name)),
            "{missing}: {error}"
        );
    }
}

#[test]
fn headers_that_say_nothing_usable_are_refused() {
    let mut request = signed(&keys()[0]);
    request
        .headers_mut()
        .insert("signature", HeaderValue::from_static("other=:AQI=:"));
    assert_eq!(verify(&request).unwrap_err(), SignatureError::Missing);
    request.headers_mut().remove("signature");
    assert_eq!(verify(&request).unwrap_err(), SignatureError::Missing);
    assert_eq!(verify(&unsigned()).unwrap_err(), SignatureError::Missing);
    for (name, value) in [
        ("signature-input", &b"\xFF"[..]),
        ("signature", b"\xFF"),
        ("signature-input", &[b'a'; 5000]),
        ("signature", b"sig1=:not base64:"),
        ("signature", b"sig1=?1"),
    ] {
        let mut request = signed(&keys()[0]);
        request
            .headers_mut()
            .insert(name, HeaderValue::from_bytes(value).unwrap());
        let error = verify(&request).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed(_)), "{name}: {error}");
    }
}

#[test]
fn a_signature_by_a_proxy_does_not_hide_the_clients() {
    let mut request = signed(&keys()[1]);
    for (name, member) in [
        ("signature-input", r#"proxy=("date");keyid="unknown""#),
        ("signature", "proxy=:AQI=:"),
    ] {
        let value = format!("{member}, {}", request.headers()[name].to_str().unwrap());
        request
            .headers_mut()
            .insert(HeaderName::from_static(name), value.try_into().unwrap());
    }
    assert_eq!(&*verify(&request).unwrap().key_id, "own");
}

#[test]
fn a_request_passes_once_while_it_could_be_replayed() {
    let nonces = NonceCache::new(3);
    let verified: Vec<Verified> = keys().iter().map(|key| verify(&signed(key)).unwrap()).collect();
    nonces.admit(&verified[0], NOW).unwrap();
    nonces.admit(&verified[1], NOW).unwrap();
    for later in [NOW, NOW + MAX_AGE_SECONDS + CLOCK_SKEW_SECONDS - 1] {
        assert_eq!(nonces.admit(&verified[0], later), Err(SignatureError::Replayed));
    }
    for _ in 0..2 {
        nonces.admit(&verify(&signed(&keys()[0])).unwrap(), NOW).unwrap();
    }
    let one_more = verify(&signed(&keys()[0])).unwrap();
    assert_eq!(nonces.admit(&one_more, NOW), Err(SignatureError::TooManyNonces));
    assert_eq!(
        nonces.admit(&verified[0], NOW),
        Err(SignatureError::Replayed),
        "nothing was forgotten"
    );
    nonces.admit(&verify(&signed(&keys()[1])).unwrap(), NOW).unwrap();
    nonces.admit(&one_more, NOW + Verified::NONCE_SECONDS).unwrap();
}

#[test]
fn keys_come_from_files_that_others_cannot_change() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let load = |algorithm| VerifyingKey::from_file("k", algorithm, &path);
    assert!(matches!(load(Algorithm::HmacSha256), Err(KeyError::NoFile(_))));
    let secret = std::str::from_utf8(SECRET).unwrap();
    write(&format!("{secret}\n"), 0o600);
    let key = load(Algorithm::HmacSha256).unwrap();
    assert!(key.fits(
        b"text",
        &SigningKey::hmac_sha256("k", SECRET).unwrap().signature(b"text")
    ));
    assert!(!format!("{key:?}").contains(secret));
    write(secret, 0o644);
    assert!(matches!(load(Algorithm::HmacSha256), Err(KeyError::File(_))));
    write("too short", 0o600);
    assert!(matches!(load(Algorithm::HmacSha256), Err(KeyError::Short(9))));
    write(vectors::ED25519_PUBLIC, 0o644);
    assert_eq!(load(Algorithm::Ed25519).unwrap().algorithm(), Algorithm::Ed25519);
    write(vectors::ED25519_PUBLIC, 0o664);
    assert!(matches!(load(Algorithm::Ed25519), Err(KeyError::File(_))));
    for bad in [
        secret,
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ] {
        write(bad, 0o600);
        assert!(
            matches!(load(Algorithm::Ed25519), Err(KeyError::Malformed { .. })),
            "{bad}"
        );
    }
    for id in ["", "with blank", "ä", &"x".repeat(129)] {
        assert!(
            matches!(VerifyingKey::hmac_sha256(id, SECRET), Err(KeyError::Id)),
            "{id}"
        );
    }
}

proptest! {
    #[test]
    fn hostile_headers_are_read_the_same_twice(header in r#"[a-z0-9=:;,"\\ ()@*A+/?.-]{0,120}"#) {
        super::fuzz(&header);
    }

    #[test]
    fn nearly_right_headers_are_read_the_same_twice(
        cut in 0usize..200, letter in any::<char>(),
    ) {
        let header = signed(&keys()[0]).headers()["signature-input"].to_str().unwrap().to_owned();
        let mut changed: Vec<char> = header.chars().collect();
        let at = cut % changed.len();
        changed[at] = letter;
        super::fuzz(&changed.into_iter().collect::<String>());
    }

    /// No single byte of the two headers may differ and still pass for the same request, but for one that no one looks at.
    #[test]
    fn a_changed_byte_never_verifies(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7F, in_signature in any::<bool>()) {
        let mut request = signed(&keys()[0]);
        let name = if in_signature { "signature" } else { "signature-input" };
        let mut value = request.headers()[name].as_bytes().to_vec();
        let at = at.index(value.len());
        prop_assume!(value[at] != byte);
        value[at] = byte;
        request.headers_mut().insert(name, HeaderValue::from_bytes(&value).unwrap());
        prop_assert!(verify(&request).is_err());
    }

    /// Another implementation makes the same text of a request and accepts our signature.
    #[test]
    fn another_implementation_agrees(path in "(/[a-zA-Z0-9._~%-]{0,10}){1,4}", query in proptest::option::of("[a-z0-9=&]{0,20}")) {
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        for key in keys() {
            let mut request = unsigned();
            *request.uri_mut() = target.parse().unwrap();
            sign(&mut request, BODY, &key, &Scheme::HTTP, NOW).unwrap();
            prop_assert!(oracle_accepts(&request, &key));
        }
    }
}

fn oracle_accepts(request: &Request<()>, key: &SigningKey) -> bool {
    let text = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let headers = request.headers();
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or("?".into());
    let lines: Vec<_> = [
        ("@method", request.method().to_string()),
        ("@authority", text(headers, "host")),
        ("@path", request.uri().path().to_owned()),
        ("@query", query),
        ("content-digest", text(headers, "content-digest")),
        ("content-type", text(headers, "content-type")),
    ]
    .into_iter()
    .map(|(name, value)| {
        oracle::message_component::HttpMessageComponent::try_from(format!("\"{name}\": {value}").as_str())
            .unwrap()
    })
    .collect();
    let parsed = oracle::HttpSignatureHeaders::try_parse(
        &text(headers, "signature"),
        &text(headers, "signature-input"),
    )
    .unwrap();
    let signature = parsed.get("sig1").unwrap();
    let base = oracle::HttpSignatureBase::try_new(&lines, signature.signature_params()).unwrap();
    let accepted = if key.id() == "shared" {
        let secret = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, SECRET);
        let shared = oracle::SharedKey::from_base64(&oracle::AlgorithmName::HmacSha256, &secret).unwrap();
        base.verify_signature_headers(&shared, signature)
    } else {
        let private = oracle::SecretKey::from_bytes(&oracle::AlgorithmName::Ed25519, &[7; 32]).unwrap();
        base.verify_signature_headers(&private.public_key(), signature)
    };
    accepted.is_ok()
}
