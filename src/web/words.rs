//! The texts in both languages: Fluent messages from `locales/*/*.ftl`.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use rust_embed::RustEmbed;

use super::lang::Lang;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/locales"]
struct LocaleFiles;

/// A value put into a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// A text.
    Text(String),
    /// A whole number; texts can depend on it (one, many).
    Number(i64),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// The values put into a text, by name.
pub type Args = Vec<(&'static str, Arg)>;

/// What is wrong with the texts.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// A file cannot be read.
    #[error("locales/{file} cannot be read: {problem}")]
    Unreadable {
        /// The file.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// There is no such text.
    #[error("no text {key:?} in language {lang}: add it under locales/")]
    Missing {
        /// The key.
        key: String,
        /// The language.
        lang: Lang,
    },
    /// A text asks for a value it was not given, or the like.
    #[error("text {key:?} in language {lang}: {problem}")]
    Broken {
        /// The key.
        key: String,
        /// The language.
        lang: Lang,
        /// What is wrong.
        problem: String,
    },
}

/// The texts in both languages.
pub struct Words {
    bundles: [FluentBundle<FluentResource>; 2],
}

impl Words {
    /// Reads all texts.
    ///
    /// # Errors
    /// When a file cannot be read or a key stands twice.
    pub fn load() -> Result<Self, WordsError> {
        let [zh, en] = Lang::ALL.map(bundle);
        Ok(Self { bundles: [zh?, en?] })
    }

    /// A text. `key.attribute` names an attribute of a message.
    ///
    /// # Errors
    /// When there is no such text, or a value it asks for is missing.
    pub fn say<'a>(
        &self,
        lang: Lang,
        key: &str,
        args: impl IntoIterator<Item = (&'a str, FluentValue<'a>)>,
    ) -> Result<String, WordsError> {
        let bundle = &self.bundles[lang.index()];
        let missing = || WordsError::Missing { key: key.to_owned(), lang };
        let (id, attribute) = key.split_once('.').map_or((key, None), |(id, a)| (id, Some(a)));
        let message = bundle.get_message(id).ok_or_else(missing)?;
        let pattern = match attribute {
            Some(attribute) => message.get_attribute(attribute).map(|a| a.value()),
            None => message.value(),
        };
        let args: FluentArgs<'_> = args.into_iter().collect();
        let mut problems = Vec::new();
        let text = bundle.format_pattern(pattern.ok_or_else(missing)?, Some(&args), &mut problems);
        match problems.first() {
            None => Ok(text.into_owned()),
            Some(problem) => {
                Err(WordsError::Broken { key: key.to_owned(), lang, problem: problem.to_string() })
            }
        }
    }

    /// A text for a page: a missing one is logged and shown as its key.
    pub fn say_or_key(&self, lang: Lang, key: &str, args: &Args) -> String {
        self.say(lang, key, fluent(args)).unwrap_or_else(|error| {
            tracing::error!(%error, "text missing");
            key.to_owned()
        })
    }

    /// Whether there is such a text.
    pub fn has(&self, lang: Lang, key: &str) -> bool {
        let (id, attribute) = key.split_once('.').map_or((key, None), |(id, a)| (id, Some(a)));
        let message = self.bundles[lang.index()].get_message(id);
        message.is_some_and(|m| match attribute {
            Some(attribute) => m.get_attribute(attribute).is_some(),
            None => m.value().is_some(),
        })
    }
}

/// When each file was last changed, for debug builds.
pub(super) fn modified() -> impl Iterator<Item = u64> {
    LocaleFiles::iter().filter_map(|name| LocaleFiles::get(&name)?.metadata.last_modified())
}

fn fluent(args: &Args) -> impl Iterator<Item = (&str, FluentValue<'_>)> {
    args.iter().map(|(name, value)| {
        let value = match value {
            Arg::Text(text) => FluentValue::from(text.as_str()),
            Arg::Number(number) => FluentValue::from(*number),
        };
        (*name, value)
    })
}

fn bundle(lang: Lang) -> Result<FluentBundle<FluentResource>, WordsError> {
    let unreadable = |file: &str, problem: String| WordsError::Unreadable { file: file.to_owned(), problem };
    let tag = lang.tag().parse().map_err(|e| unreadable(lang.tag(), format!("{e:?}")))?;
    let mut bundle = FluentBundle::new_concurrent(vec![tag]);
    bundle.set_use_isolating(false);
    let folder = format!("{}/", lang.tag());
    let mut files: Vec<_> = LocaleFiles::iter().filter(|file| file.starts_with(&folder)).collect();
    files.sort();
    for file in files {
        let found = LocaleFiles::get(&file).ok_or_else(|| unreadable(&file, "it has gone".into()))?;
        let text =
            String::from_utf8(found.data.into_owned()).map_err(|e| unreadable(&file, e.to_string()))?;
        let resource = FluentResource::try_new(text).map_err(|(_, errors)| {
            unreadable(&file, errors.iter().map(|e| format!("{e}")).collect::<Vec<_>>().join("; "))
        })?;
        bundle.add_resource(resource).map_err(|errors| {
            unreadable(&file, errors.iter().map(|e| format!("{e}")).collect::<Vec<_>>().join("; "))
        })?;
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys of a language, attributes as `key.attribute`.
    fn keys(lang: Lang) -> std::collections::BTreeSet<String> {
        let folder = format!("{}/", lang.tag());
        let mut keys = std::collections::BTreeSet::new();
        for file in LocaleFiles::iter().filter(|file| file.starts_with(&folder)) {
            let text = String::from_utf8(LocaleFiles::get(&file).unwrap().data.into_owned()).unwrap();
            let mut message = String::new();
            for line in text.lines() {
                if let Some((key, _)) = line.trim_start().strip_prefix('.').and_then(|l| l.split_once(" =")) {
                    keys.insert(format!("{message}.{key}"));
                } else if line.starts_with(|c: char| c.is_ascii_lowercase()) {
                    message = line.split(" =").next().unwrap().to_owned();
                    keys.insert(message.clone());
                }
            }
        }
        keys
    }

    #[test]
    fn both_languages_have_the_same_keys_and_parse() {
        Words::load().unwrap();
        let (zh, en) = (keys(Lang::Zh), keys(Lang::En));
        assert!(zh.len() > 100);
        let differing: Vec<_> = zh.symmetric_difference(&en).collect();
        assert!(differing.is_empty(), "only in one language: {differing:?}");
    }

    #[test]
    fn a_missing_text_or_value_is_an_error() {
        let words = Words::load().unwrap();
        assert!(matches!(words.say(Lang::Zh, "no-such-text", []), Err(WordsError::Missing { .. })));
        assert!(matches!(words.say(Lang::En, "pages-of", []), Err(WordsError::Broken { .. })));
    }
}
