//! Which models are known, and how much each holds. The figures are in `data/models.toml`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;

/// How much a model holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// Tokens of prompt and answer together.
    pub context_window: u32,
    /// Tokens of one answer.
    pub max_output: u32,
}

/// How much a model holds; `None` when the model, or its limits, are not known.
pub fn info(model: &str) -> Option<ModelLimits> {
    BUILT_IN.find(model)?.limits()
}

/// The model list that is part of this program. Parsed when first asked for: most commands never do.
pub(crate) static BUILT_IN: LazyLock<Catalogue> = LazyLock::new(|| {
    let file = ModelsFile::parse(include_str!("../data/models.toml"));
    Catalogue::from_file(file.expect("data/models.toml is checked by the tests of this crate"))
});

/// The form of `data/models.toml` and of a user's prices file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelsFile {
    pub(crate) date: Option<String>,
    pub(crate) batch_multiplier: Option<f64>,
    pub(crate) us_inference_multiplier: Option<f64>,
    pub(crate) web_search_per_1000: Option<f64>,
    #[serde(default)]
    pub(crate) model: Vec<ModelEntry>,
}

/// One entry: prices are US dollars per million tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelEntry {
    pub(crate) ids: Vec<String>,
    pub(crate) input: f64,
    pub(crate) output: f64,
    pub(crate) cache_write_5m: f64,
    pub(crate) cache_write_1h: f64,
    pub(crate) cache_read: f64,
    pub(crate) context_window: Option<u32>,
    pub(crate) max_output: Option<u32>,
    pub(crate) fast_multiplier: Option<f64>,
    pub(crate) long_prompt: Option<LongPrompt>,
}

/// What changes when the whole prompt is longer than `over_tokens`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongPrompt {
    pub(crate) over_tokens: u64,
    /// For everything in the prompt, the cached parts too.
    pub(crate) input_multiplier: f64,
    pub(crate) output_multiplier: f64,
}

impl ModelEntry {
    fn limits(&self) -> Option<ModelLimits> {
        Some(ModelLimits {
            context_window: self.context_window?,
            max_output: self.max_output?,
        })
    }

    fn numbers(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let always = [
            ("input", self.input),
            ("output", self.output),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
            ("cache_read", self.cache_read),
        ];
        let long = self.long_prompt.iter().flat_map(|long| {
            [
                ("input_multiplier", long.input_multiplier),
                ("output_multiplier", long.output_multiplier),
            ]
        });
        always
            .into_iter()
            .chain(self.fast_multiplier.map(|fast| ("fast_multiplier", fast)))
            .chain(long)
    }
}

impl ModelsFile {
    /// Parses and checks a file; the error says where and what.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let general = [
            ("batch_multiplier", file.batch_multiplier),
            ("us_inference_multiplier", file.us_inference_multiplier),
            ("web_search_per_1000", file.web_search_per_1000),
        ];
        for (key, value) in general.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            check(key, value, "the top level")?;
        }
        for entry in &file.model {
            let Some(id) = entry.ids.first() else {
                return Err("a [[model]] without ids; name at least one".to_owned());
            };
            for (key, value) in entry.numbers() {
                check(key, value, id)?;
            }
        }
        Ok(file)
    }
}

fn check(key: &str, value: f64, place: &str) -> Result<(), String> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(format!(
        "{key} = {value} of {place} is not a price; give a number that is not negative"
    ))
}

/// The models by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    entries: BTreeMap<String, Arc<ModelEntry>>,
    pub(crate) general: General,
}

/// What holds for all models.
#[derive(Clone, Debug, Default)]
pub(crate) struct General {
    pub(crate) date: String,
    pub(crate) batch_multiplier: f64,
    pub(crate) us_inference_multiplier: f64,
    pub(crate) web_search_per_1000: f64,
}

impl Catalogue {
    fn from_file(file: ModelsFile) -> Self {
        let mut catalogue = Self::default();
        catalogue.add(file);
        catalogue
    }

    /// Adds a file's entries; they replace those with the same id.
    pub(crate) fn add(&mut self, file: ModelsFile) {
        fn take<T>(mine: &mut T, new: Option<T>) {
            if let Some(new) = new {
                *mine = new;
            }
        }
        let general = &mut self.general;
        take(&mut general.date, file.date);
        take(&mut general.batch_multiplier, file.batch_multiplier);
        take(&mut general.us_inference_multiplier, file.us_inference_multiplier);
        take(&mut general.web_search_per_1000, file.web_search_per_1000);
        for mut entry in file.model {
            let ids = std::mem::take(&mut entry.ids);
            let entry = Arc::new(entry);
            self.entries
                .extend(ids.into_iter().map(|id| (id, Arc::clone(&entry))));
        }
    }

    /// The entry of a model: by its id, or by its id without the date at the end.
    pub(crate) fn find(&self, model: &str) -> Option<&ModelEntry> {
        let entry = self
            .entries
            .get(model)
            .or_else(|| self.entries.get(undated(model)?));
        entry.map(Arc::as_ref)
    }
}

/// A model id without its `-YYYYMMDD`, if it ends in one.
fn undated(model: &str) -> Option<&str> {
    let (name, date) = model.rsplit_once('-')?;
    (date.len() == 8 && date.bytes().all(|digit| digit.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_by_id_with_and_without_a_date() {
        let opus = ModelLimits {
            context_window: 200_000,
            max_output: 64_000,
        };
        for (model, expected) in [
            ("claude-opus-4-5", Some(opus)),
            ("claude-opus-4-5-20251101", Some(opus)),
            ("claude-opus-4-5-2025110", None),
            ("claude-opus-4-5-2025110x", None),
            ("claude-opus", None),
            ("", None),
            ("claude-fable-5-2", None),
            (
                "claude-opus-5-5",
                Some(ModelLimits {
                    context_window: 1_000_000,
                    max_output: 128_000,
                }),
            ),
        ] {
            assert_eq!(info(model), expected, "{model}");
        }
    }
}
