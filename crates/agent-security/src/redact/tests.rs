use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PLANTED: &str = "pl4nted\"key\\with/odd chars+\u{e9}";

fn redactor() -> Redactor {
    Redactor::new(vec![
        Secret::from(PLANTED.to_owned()),
        Secret::from("short".to_owned()),
    ])
}

/// Text with a secret marked by `«…»`, and what must be left of it.
fn check_pattern(marked: &str) {
    let text = marked.replace(['«', '»'], "");
    let mut expected = String::new();
    for (index, part) in marked.split(['«', '»']).enumerate() {
        expected.push_str(if index % 2 == 0 { part } else { REPLACEMENT });
    }
    assert_eq!(Redactor::default().redact(&text), expected);
}

#[test]
fn secrets_are_known_by_their_shape() {
    let cases = [
        "key «sk-ant-REDACTED» end",
        "x=«sk-ant-REDACTED»",
        "a\\n«sk-ant-REDACTED»\\nb",
        "«sk-proj-abcdefghijklmnop1234»",
        "a\\nkey\\t«sk-proj-abcdefghijklmnop1234»",
        "«ghp_abcdefghijklmnopqrstuvwxyz0123456789»",
        "«github_pat_11ABCDEFG0123456789_abcdef»",
        "«glpat-abcdefghij0123456789»",
        "«xoxb-123456789012-abcdefghij»",
        "id «AKIAIOSFODNN7EXAMPLE», next",
        "«AIzaSyA1234567890abcdefghijklmnopqrstuvw»",
        "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_123»",
        "Authorization: Bearer «abcdef123456»",
        "authorization: bearer «abcdefghijklmnopqrstuvwxyz»",
        "Authorization: Basic «dXNlcjpwYXNzd29yZA==»",
        "{\"authorization\": \"Basic «dXNlcjpwYXNz»\"}",
        "{\\\"Authorization\\\": \\\"Bearer «abcdef123456»\\\"}",
        "-H 'x-api-key: «abcdef123456»'",
        "X-Api-Key:«abcdef123456»\r\nhost: x",
        "\"x-api-key\" => \"«abcdef123456»\"",
        "ANTHROPIC_API_KEY=«abcdef1234567890»\n",
        "api_key = \"«abcdef1234567890»\"",
        "{\"password\": \"«hunter2hunter2»\"}",
        "{\\\"password\\\":\\\"«hunter2hunter2»\\\"}",
        "{\"password\": \"«p4ss!word@home.x»\", \"b\": 1}",
        "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY1»",
        "https://user:«p4ssw0rd»@example.com/x",
        "postgres://app:«s:e@cret»@db:5432/x",
        "https://«ghp_abcdefghijklmnopqrstuvwxyz0123456789»@github.com/a/b",
        "https://«0123456789abcdefghij»@example.com",
        "GET /x?a=b&token=«abcdef123456»&c=d",
        "«-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc+/=\n-----END RSA PRIVATE KEY-----»\nafter",
        "\"«-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG\\n-----END PRIVATE KEY-----»\\n\"",
        "\"«-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAA»\" cut off",
        "a «sk-ant-REDACTED» b «sk-ant-REDACTED» c",
    ];
    for case in cases {
        check_pattern(case);
    }
}

#[test]
fn ordinary_text_and_code_are_borrowed() {
    let cases = [
        "",
        "plain text, nothing in it",
        "risk-management-of-something-quite-long-1",
        "sk-short",
        "let password = read_password(prompt)?;",
        "let api_key = config.api_key.expose();",
        "api_key: Option<Secret>,",
        "password: String,",
        "\"password\": \"string\"",
        "use Bearer authentication or Basic authentication",
        "Authorization: Bearer $TOKEN",
        "Authorization: Bearer <token>",
        "authorization: String,",
        "https://example.com/a@b:c",
        "https://user@example.com",
        "https://user:$PASS@example.com and https://{user}:{pass}@host",
        "git@github.com:a/b.git",
        "checksum = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
        "if text.contains(\"-----BEGIN PRIVATE KEY-----\") {",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA7\n-----END CERTIFICATE-----",
        "AKIA and ASIA are prefixes",
        "eyJust a word",
        "[redacted]",
        "Authorization: Bearer [redacted]",
        "https://user:[redacted]@example.com",
        "漢字 größe 🦀 ://é:é",
    ];
    for case in cases {
        let redacted = redactor().redact(case).into_owned();
        assert_eq!(redacted, case);
        assert!(matches!(redactor().redact(case), Cow::Borrowed(_)), "{case:?}");
    }
}

#[test]
fn a_known_secret_vanishes_from_every_spelling() {
    let json = serde_json::to_string(PLANTED).expect("text is JSON");
    let nested = serde_json::to_string(&json).expect("text is JSON");
    let shapes = [
        PLANTED.to_owned(),
        format!("x-api-key: {PLANTED}\r\n"),
        format!("Authorization: Bearer {PLANTED}"),
        format!("https://user:{PLANTED}@example.com"),
        format!("{{\"key\": {json}}}"),
        format!("{{\"text\": {nested}}}"),
        json.replace('/', "\\/"),
        json.replace('\u{e9}', "\\u00e9"),
        format!("{PLANTED:?}"),
        "?k=pl4nted%22key%5Cwith%2Fodd%20chars%2B%C3%A9".to_owned(),
        "?k=pl4nted%22key%5cwith%2fodd%20chars%2b%c3%a9".to_owned(),
        "?k=pl4nted%22key%5Cwith%2Fodd+chars%2B%C3%A9".to_owned(),
        format!("{PLANTED}{PLANTED}"),
    ];
    for shape in shapes {
        let redacted = redactor().redact(&shape).into_owned();
        assert!(redacted.contains(REPLACEMENT), "{shape:?}");
        assert!(
            !redacted.contains("pl4nted") && !redacted.contains("odd"),
            "{shape:?}: {redacted:?}"
        );
    }
    assert_eq!(redactor().redact("a short word"), "a short word");
    assert_eq!(format!("{:?}", redactor()), "Redactor");
}

#[test]
fn overlapping_and_nested_secrets_leave_nothing_behind() {
    let secrets = ["abcdefgh", "efghijkl", "cdefgh", "xxabcdefghyy"];
    let redactor = Redactor::new(secrets.map(|text| Secret::from(text.to_owned())).to_vec());
    assert_eq!(
        redactor.redact("1 abcdefghijkl 2 xxabcdefghyy 3"),
        "1 [redacted] 2 [redacted] 3"
    );
}

/// The processor time of this thread so far: other work on the machine is not in it.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

/// The processor time that redaction takes at best.
fn fastest(redactor: &Redactor, text: &str) -> Duration {
    let run = || {
        let started = cpu_time();
        assert!(redactor.redact(text).len() <= text.len() * 4);
        cpu_time() - started
    };
    (0..3).map(|_| run()).min().unwrap_or_default()
}

/// Repetitions that would cost the square of their length if anything were looked at again and again.
#[test]
fn hostile_repetition_costs_linear_time() {
    const SMALL: usize = 16 * 1024;
    const TIMES_LARGER: usize = 16;
    let pieces = [
        "sk-",
        "sk-ant-",
        "-sk-aaaaaaaaaaaaaaaaaaaaaaaaa",
        "eyJ",
        "-eyJaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "bearer ",
        "api_key=",
        "password:",
        "authorization: ",
        "://",
        "://a:b",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----AAAA-----END ",
        "\\",
        "aaaaaa",
        "&key=",
    ];
    let known = Redactor::new(vec![
        Secret::from("aaaaaa".to_owned()),
        Secret::from("a".repeat(64)),
    ]);
    for piece in pieces {
        let text = |size: usize| piece.repeat(size / piece.len());
        let small = fastest(&known, &text(SMALL));
        let large = fastest(&known, &text(SMALL * TIMES_LARGER));
        // Linear time is 16 times as long, quadratic time 256 times.
        let allowed = small * 64 + Duration::from_millis(5);
        assert!(large < allowed, "{piece:?}: {small:?}, then {large:?}");
    }
}

proptest! {
    #[test]
    fn planted_keys_vanish_wherever_they_are_put(
        before in "[ -~\u{e9}\n]{0,40}",
        after in "[ -~\u{e9}\n]{0,40}",
        secret in "[a-zA-Z0-9/+\"\\\\ é]{4}x[a-zA-Z0-9/+\"\\\\]{4,30}",
    ) {
        let secret = secret.trim().to_owned();
        let redactor = Redactor::new(vec![Secret::from(secret.clone())]);
        let value = serde_json::json!({ "text": format!("{before}{secret}{after}") });
        for text in [format!("{before}{secret}{after}"), value.to_string(), serde_json::json!(value.to_string()).to_string()] {
            let redacted = redactor.redact(&text);
            prop_assert!(redacted.contains(REPLACEMENT));
            prop_assert!(!redacted.contains(&secret), "{} in {}", secret, redacted);
        }
    }

    #[test]
    fn any_text_is_redacted_without_a_panic_and_once_is_enough(text in any::<String>(), hostile in "(sk-ant-|eyJ|://|@|:|password|=|\"|\\\\|api_key|-----BEGIN |PRIVATE KEY-----|bearer |\u{e9}|[a-z0-9]{1,9}| ){0,20}") {
        for text in [text, hostile] {
            let once = Redactor::default().redact(&text).into_owned();
            let twice = Redactor::default().redact(&once).into_owned();
            prop_assert_eq!(&once, &twice);
            let _known = redactor().redact(&text);
        }
    }
}

#[test]
fn a_secret_learnt_later_is_taken_out_by_every_clone_from_then_on() {
    let redactor = Redactor::new(vec![Secret::from("first-of-the-ring")]);
    let clone = redactor.clone();
    let text = "first-of-the-ring and second/of/the/ring and second%2Fof%2Fthe%2Fring";
    assert_eq!(clone.redact(text).matches(REPLACEMENT).count(), 1);
    redactor.learn([Secret::from("second/of/the/ring")]);
    assert_eq!(clone.redact(text), "[redacted] and [redacted] and [redacted]");
}

#[test]
fn of_too_many_secrets_the_oldest_are_given_up_and_the_newest_known() {
    let redactor = Redactor::default();
    redactor.learn((0..=MAX_SECRETS).map(|number| Secret::from(format!("opaque-{number}-opaque"))));
    assert_eq!(
        redactor.redact(&format!("opaque-{MAX_SECRETS}-opaque")),
        REPLACEMENT
    );
    assert_eq!(redactor.redact("opaque-0-opaque"), "opaque-0-opaque");
}
