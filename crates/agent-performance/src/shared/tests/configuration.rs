use std::time::Duration;

use crate::shared::{SharedConfig, SharedConfigError};

#[test]
fn urls_are_read_or_refused_without_being_repeated() {
    let cases = [
        ("redis://127.0.0.1:7000", Some("127.0.0.1:7000")),
        ("redis://cache.example", Some("cache.example:6379")),
        ("valkey://cache.example/3", Some("cache.example:6379")),
        (
            "rediss://user:s3cr3t@cache.example:7001/1",
            Some("cache.example:7001"),
        ),
        ("redis+unix:///run/redis.sock?db=2", Some("/run/redis.sock")),
        ("rediss://:s3cr3t@cache.example#insecure", None),
        ("http://:s3cr3t@cache.example", None),
        ("redis://:s3cr3t@cache.example/notanumber", None),
        ("redis://:s3cr3t@cache.example?protocol=9", None),
        ("s3cr3t", None),
        ("", None),
    ];
    for (url, expected) in cases {
        let config = SharedConfig::new(url, "p");
        assert_eq!(
            config.as_ref().ok().map(SharedConfig::address).as_deref(),
            expected,
            "{url}"
        );
        assert!(!format!("{config:?}").contains("s3cr3t"), "{config:?}");
        if let Err(error) = config {
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
    }
}

#[test]
fn prefixes_and_time_outs_are_checked() {
    let url = "redis://127.0.0.1";
    let long = "x".repeat(129);
    for prefix in ["", "a b", "a{b}", "a\n", "ä", &long] {
        assert_eq!(
            SharedConfig::new(url, prefix).err(),
            Some(SharedConfigError::Prefix),
            "{prefix:?}"
        );
    }
    let config = SharedConfig::new(url, "claude-agent:eu").unwrap();
    assert_eq!(config.command_timeout, Duration::from_millis(250));
    let none = config.with_command_timeout(Duration::ZERO).err();
    assert_eq!(none, Some(SharedConfigError::Timeout));
}

#[test]
fn what_a_server_says_is_shown_without_the_password_and_on_one_line() {
    let config = SharedConfig::new("redis://:s3cr3t@127.0.0.1", "p").unwrap();
    let shown = config.redact(&format!("bad\r\npassword s3cr3t {}", "!".repeat(1000)));
    assert!(shown.starts_with("bad  password [redacted] !"), "{shown}");
    assert_eq!(shown.chars().count(), 300);
}
