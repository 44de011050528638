use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn size(text: &str) -> Result<u64, String> {
    text.parse::<ByteSize>()
        .map(u64::from)
        .map_err(|error| error.to_string())
}

fn nanos(text: &str) -> Result<u128, String> {
    text.parse::<HumanDuration>()
        .map(|d| d.0.as_nanos())
        .map_err(|error| error.to_string())
}

#[test]
fn sizes_that_people_write() {
    let cases = [
        ("10 MiB", 10 << 20),
        ("1.5 GiB", 3 << 29),
        ("1.5GiB", 3 << 29),
        ("  64 kib ", 64 << 10),
        ("500 KB", 500_000),
        ("2 TB", 2_000_000_000_000),
        ("0 B", 0),
        ("1.3 KiB", 1331),
        ("18446744073709551615 B", u64::MAX),
    ];
    for (text, bytes) in cases {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn durations_that_people_write() {
    let cases = [
        ("250ms", 250_000_000),
        ("30s", 30_000_000_000),
        ("30 s", 30_000_000_000),
        ("1.5h", 5_400_000_000_000),
        ("30 d", 2_592_000_000_000_000),
        ("2 weeks", 1_209_600_000_000_000),
        ("10 minutes", 600_000_000_000),
        ("7 µs", 7_000),
        ("0s", 0),
    ];
    for (text, expected) in cases {
        assert_eq!(nanos(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    insta::assert_snapshot!(size("10").unwrap_err(), @"has no unit; add B, KiB, MiB, GiB, TiB, KB, MB, GB or TB");
    insta::assert_snapshot!(size("10 M").unwrap_err(), @"`M` could mean two sizes; write MiB (powers of 1024) or MB (powers of 1000)");
    insta::assert_snapshot!(size("10 Mb").unwrap_err(), @"`Mb` is not a unit of size; use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB");
    insta::assert_snapshot!(size("-1 MiB").unwrap_err(), @"is negative");
    insta::assert_snapshot!(size("NaN MiB").unwrap_err(), @"does not start with a number such as 30 or 1.5");
    insta::assert_snapshot!(size("1.2.3 MiB").unwrap_err(), @"does not start with a number such as 30 or 1.5");
    insta::assert_snapshot!(size("1e3 MiB").unwrap_err(), @"`e3 MiB` is not a unit of size; use B, KiB, MiB, GiB, TiB, KB, MB, GB or TB");
    insta::assert_snapshot!(size("16777216 TiB").unwrap_err(), @"is more bytes than 64 bits can count");
    insta::assert_snapshot!(size("99999999999999999999999999999999999999999 B").unwrap_err(), @"is more bytes than 64 bits can count");
    insta::assert_snapshot!(nanos("30").unwrap_err(), @"has no unit; add ns, us, ms, s, m, h, d or w");
    insta::assert_snapshot!(nanos("inf s").unwrap_err(), @"does not start with a number such as 30 or 1.5");
    insta::assert_snapshot!(nanos("5 M").unwrap_err(), @"`M` is not a unit of time; use ns, us, ms, s, m, h, d or w");
    insta::assert_snapshot!(nanos("18446744073709551616s").unwrap_err(), @"is longer than can be counted");
    insta::assert_snapshot!(nanos("").unwrap_err(), @"is empty; write a number and a unit: ns, us, ms, s, m, h, d or w");
    insta::assert_snapshot!(nanos("0.0000000000000000001s").unwrap_err(), @"has more than 18 digits behind the point");
    insta::assert_snapshot!(nanos(&"9".repeat(1000)).unwrap_err(), @"is longer than 64 bytes; write one number and one unit");
}

#[test]
fn plain_numbers_are_bytes_but_never_durations() {
    assert_eq!(
        serde_json::from_str::<ByteSize>("1024").unwrap(),
        ByteSize::kib(1)
    );
    assert!(serde_json::from_str::<ByteSize>("-1").is_err());
    assert!(serde_json::from_str::<ByteSize>("1.5").is_err());
    assert!(serde_json::from_str::<HumanDuration>("30").is_err());
}

proptest! {
    #[test]
    fn every_size_reads_back_as_itself(bytes: u64, shift in 0_u32..64) {
        let written = ByteSize(bytes << shift);
        prop_assert_eq!(written.to_string().parse::<ByteSize>(), Ok(written));
        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<ByteSize>(&json).unwrap(), written);
    }

    #[test]
    fn every_duration_reads_back_as_itself(secs: u64, nanos in 0_u32..1_000_000_000, whole: bool) {
        let written = HumanDuration(Duration::new(secs, if whole { 0 } else { nanos }));
        prop_assert_eq!(written.to_string().parse::<HumanDuration>(), Ok(written));
        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<HumanDuration>(&json).unwrap(), written);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let (_, _) = (size(&text), nanos(&text));
    }

    #[test]
    fn anything_near_a_number_is_answered(text in "[-+]?[0-9]{0,45}\\.?[0-9]{0,30}(e[0-9]+)? ?(|B|KiB|TiB|ns|s|w|µs|NaN|inf)") {
        if let Ok(bytes) = size(&text) {
            prop_assert!(!text.starts_with('-'));
            prop_assert_eq!(size(&ByteSize(bytes).to_string()), Ok(bytes));
        }
        if nanos(&text).is_ok() {
            prop_assert!(!text.starts_with('-'));
        }
    }
}
