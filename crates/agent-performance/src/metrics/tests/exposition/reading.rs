//! A strict reader of both formats: it fails at what a scraper would refuse.

use std::collections::{BTreeMap, HashSet};

use crate::metrics::exposition::Format;

/// A page that kept every rule.
pub(super) struct Page {
    pub(super) families: usize,
    /// A histogram counts once.
    pub(super) series: usize,
    pub(super) samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Page {
    pub(super) fn read(text: &str, format: Format) -> Self {
        let body = match format {
            Format::Prometheus => text,
            Format::OpenMetrics => text.strip_suffix("# EOF\n").expect("it ends"),
        };
        assert!(body.ends_with('\n'));
        let (mut families, mut names) = (HashSet::new(), HashSet::new());
        let (mut samples, mut histograms) = (Vec::new(), Vec::new());
        let (mut seen, mut series) = (HashSet::new(), 0);
        let (mut family, mut kind) = (String::new(), String::new());
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a text");
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                assert!(!help.is_empty());
                family = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, its) = rest.split_once(' ').expect("a kind");
                assert_eq!(name, family);
                kind = its.to_owned();
                for name in names_of(&family, &kind, format) {
                    assert!(names.insert(name.clone()), "{name} is of two families");
                }
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').expect("a unit");
                assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}");
            } else {
                let sample = sample(line);
                assert!(
                    names_of(&family, &kind, format).contains(&sample.name),
                    "{line} in {family}"
                );
                let identity = format!("{}{:?}", sample.name, sample.labels);
                assert!(seen.insert(identity), "twice: {line}");
                series += usize::from(kind != "histogram" || sample.name == format!("{family}_count"));
                if kind == "histogram" {
                    histograms.push(sample.clone());
                }
                samples.push(sample);
            }
        }
        check_histograms(&histograms);
        Page {
            families: families.len(),
            series,
            samples,
        }
    }

    /// The value of the only sample of this name.
    pub(super) fn value(&self, name: &str) -> f64 {
        let mut found = self.samples.iter().filter(|sample| sample.name == name);
        let value = found.next().map_or(0.0, |sample| sample.value);
        assert!(found.next().is_none(), "{name} comes more than once");
        value
    }
}

fn names_of(family: &str, kind: &str, format: Format) -> Vec<String> {
    let suffixes: &[&str] = match (kind, format) {
        ("counter", Format::OpenMetrics) => &["_total"],
        ("counter" | "gauge", _) => &[""],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        _ => panic!("{family} is a {kind}"),
    };
    suffixes
        .iter()
        .map(|suffix| format!("{family}{suffix}"))
        .collect()
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn sample(line: &str) -> Sample {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).expect("a value"));
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, value) = rest.split_once("=\"").expect("a value");
            assert!(is_name(label) && !label.starts_with("__"), "{line}");
            let (value, after) = unescaped(value);
            assert!(
                labels.insert(label.to_owned(), value).is_none(),
                "{label} twice: {line}"
            );
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').expect("the end of the labels");
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a value");
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().expect("a number"),
    }
}

/// The text up to the closing quote, and what follows the quote.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().expect("an escaped character").1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("\\{c} is no escape"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote in {text}");
}

/// Buckets rise to the count.
fn check_histograms(samples: &[Sample]) {
    let mut below: Option<(&Sample, f64)> = None;
    for sample in samples {
        if let Some(family) = sample.name.strip_suffix("_bucket") {
            let bound = &sample.labels["le"];
            let bound: f64 = bound.replace("+Inf", "inf").parse().expect("a bound");
            if let Some((before, least)) = below {
                assert!(
                    bound > least && sample.value >= before.value,
                    "{sample:?} after {before:?}"
                );
            }
            below = if bound.is_finite() {
                Some((sample, bound))
            } else {
                let count = samples.iter().find(|count| {
                    count.name == format!("{family}_count")
                        && count.labels.len() + 1 == sample.labels.len()
                        && count
                            .labels
                            .iter()
                            .all(|(key, value)| sample.labels.get(key) == Some(value))
                });
                assert_eq!(count.expect("a count").value, sample.value);
                None
            };
        }
    }
}
