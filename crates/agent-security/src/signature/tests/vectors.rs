//! The examples of RFC 9421, appendix B, for our two algorithms, and of RFC 9530.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Request;

use super::super::fields::{byte_sequences, inputs};
use super::super::*;

pub(super) const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";

/// The last 32 bytes of the private key of B.1.4.
const ED25519_SEED: &str = "n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW/2ZYb2p9KcU=";

/// B.1.5.
const SHARED_SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

fn ed25519() -> SigningKey {
    SigningKey::ed25519("test-key-ed25519", &BASE64_STANDARD.decode(ED25519_SEED).unwrap()).unwrap()
}

fn hmac() -> SigningKey {
    SigningKey::hmac_sha256(
        "test-shared-secret",
        &BASE64_STANDARD.decode(SHARED_SECRET).unwrap(),
    )
    .unwrap()
}

/// B.2.
fn test_request() -> Request<()> {
    Request::post("/foo?param=Value&Pet=dog")
        .header("host", "example.com")
        .header("date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .header("content-type", "application/json")
        .header("content-length", "18")
        .body(())
        .unwrap()
}

/// B.4, as the client sent it.
fn transformed_request() -> Request<()> {
    Request::get("/demo?name1=Value1&Name2=value2")
        .header("host", "example.org")
        .header("date", "Fri, 15 Jul 2022 14:24:55 GMT")
        .header("accept", "application/json")
        .header("accept", "*/*")
        .body(())
        .unwrap()
}

fn check(request: Request<()>, key: &SigningKey, header: &str, signature: &str) -> bool {
    let (_, input) = inputs(header).unwrap().remove(0);
    let (_, signature) = byte_sequences(signature).unwrap().remove(0);
    let (parts, ()) = request.into_parts();
    let base = Message::of(&parts, &Scheme::HTTPS).unwrap().base(&input).unwrap();
    let verifies = key.verifying_key().fits(&base, &signature);
    assert_eq!(
        key.signature(&base) == signature,
        verifies,
        "both algorithms are deterministic"
    );
    verifies
}

#[test]
fn b_2_5_hmac_sha256() {
    let input =
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let signature = "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:";
    assert!(check(test_request(), &hmac(), input, signature));
}

#[test]
fn b_2_6_ed25519() {
    let input = r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let signature =
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:";
    assert!(check(test_request(), &ed25519(), input, signature));
}

#[test]
fn b_4_a_request_transformed_on_its_way() {
    let input =
        r#"transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let signature = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:";
    let passes = |change: fn(&mut Request<()>)| {
        let mut request = transformed_request();
        change(&mut request);
        check(request, &ed25519(), input, signature)
    };
    assert!(passes(|_| {}));
    assert!(passes(
        |r| *r.uri_mut() = "/demo?name1=Value1&Name2=value2&param=added".parse().unwrap()
    ));
    assert!(
        passes(|r| drop(
            r.headers_mut()
                .insert("accept", "application/json, */*".parse().unwrap())
        )),
        "lines joined"
    );
    assert!(
        passes(|r| drop(r.headers_mut().insert("host", "EXAMPLE.org:443".parse().unwrap()))),
        "the same host"
    );
    assert!(!passes(
        |r| *r.uri_mut() = "/demo/x?name1=Value1&Name2=value2".parse().unwrap()
    ));
    assert!(!passes(|r| *r.method_mut() = http::Method::POST));
    assert!(!passes(|r| drop(
        r.headers_mut().insert("host", "example.com".parse().unwrap())
    )));
    assert!(
        !passes(|r| drop(
            r.headers_mut()
                .insert("accept", "*/*, application/json".parse().unwrap())
        )),
        "another order"
    );
}

#[test]
fn digests_of_rfc_9530() {
    assert_eq!(
        content_digest(b"{\"hello\": \"world\"}"),
        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
    );
    assert_eq!(
        content_digest(b"{\"hello\": \"world\"}\n"),
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    );
    assert_eq!(
        content_digest(b""),
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    );
}

#[test]
fn the_public_key_file_is_of_the_same_pair() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    std::fs::write(&path, ED25519_PUBLIC).unwrap();
    let public = VerifyingKey::from_file("test-key-ed25519", Algorithm::Ed25519, &path);
    assert!(public.unwrap().fits(b"x", &ed25519().signature(b"x")));
}
