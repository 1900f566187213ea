//! The templates: one tera environment for each language, so that `t()` and the formats know theirs
//! inside components too. Debug builds read changed templates and texts again.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use fluent_bundle::FluentValue;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_embed::RustEmbed;
use tera::{Context, Kwargs, State, Tera, TeraResult, Value};

use super::lang::Lang;
use super::words::{Words, WordsError};
use super::{assets, format, markdown};

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/templates"]
struct TemplateFiles;

/// How often a debug build looks whether a file changed.
const LOOK: Duration = Duration::from_secs(1);

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The texts.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A template cannot be read, or a page cannot be rendered.
    #[error("template: {0}")]
    Tera(String),
}

impl From<tera::Error> for TemplateError {
    fn from(error: tera::Error) -> Self {
        use std::error::Error as _;
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self::Tera(text)
    }
}

struct Loaded {
    tera: [Tera; 2],
    words: Arc<Words>,
    looked: Instant,
    stamp: u64,
}

/// The templates and texts. Cheap to clone.
#[derive(Clone)]
pub struct Templates {
    zone: TimeZone,
    loaded: Arc<RwLock<Arc<Loaded>>>,
}

impl Templates {
    /// Reads all templates and texts; times are rendered in the zone named.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn load(zone: &str) -> Result<Self, TemplateError> {
        let zone = format::zone(zone);
        let loaded = Arc::new(RwLock::new(Arc::new(load(&zone)?)));
        Ok(Self { zone, loaded })
    }

    /// The texts.
    pub fn words(&self) -> Arc<Words> {
        Arc::clone(&self.current().words)
    }

    /// Renders a template.
    ///
    /// # Errors
    /// When it does not exist, or asks for a variable or text that is not there.
    pub fn render(&self, lang: Lang, name: &str, context: &Context) -> Result<String, TemplateError> {
        Ok(self.current().tera[lang.index()].render(name, context)?)
    }

    fn current(&self) -> Arc<Loaded> {
        let loaded = Arc::clone(&self.loaded.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        if !cfg!(debug_assertions) || loaded.looked.elapsed() < LOOK {
            return loaded;
        }
        let next = if stamp() == loaded.stamp {
            let Loaded { tera, words, stamp, .. } = &*loaded;
            Loaded { tera: tera.clone(), words: Arc::clone(words), looked: Instant::now(), stamp: *stamp }
        } else {
            match load(&self.zone) {
                Ok(fresh) => fresh,
                Err(error) => {
                    tracing::error!(%error, "the changed templates cannot be read; the old ones stay");
                    return loaded;
                }
            }
        };
        let next = Arc::new(next);
        *self.loaded.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::clone(&next);
        next
    }
}

/// Changes when a template or text is changed on disk.
fn stamp() -> u64 {
    if !cfg!(debug_assertions) {
        return 0;
    }
    let times = TemplateFiles::iter().filter_map(|name| TemplateFiles::get(&name)?.metadata.last_modified());
    times.chain(super::words::modified()).fold(0, |sum, time| sum.wrapping_mul(31).wrapping_add(time))
}

fn load(zone: &TimeZone) -> Result<Loaded, TemplateError> {
    let words = Arc::new(Words::load()?);
    let mut sources = Vec::new();
    for name in TemplateFiles::iter() {
        // Other suffixes are not escaped by tera: none may slip in.
        if !name.ends_with(".html") {
            return Err(TemplateError::Tera(format!("templates/{name}: only .html templates are escaped")));
        }
        let Some(file) = TemplateFiles::get(&name) else { continue };
        let text = String::from_utf8(file.data.into_owned())
            .map_err(|e| TemplateError::Tera(format!("templates/{name}: {e}")))?;
        sources.push((name.into_owned(), text));
    }
    let [zh, en] = Lang::ALL.map(|lang| {
        let mut tera = Tera::new();
        functions(&mut tera, lang, &words);
        filters(&mut tera, lang, zone);
        tera.add_raw_templates(sources.iter().map(|(n, t)| (n.as_str(), t.as_str()))).map(|()| tera)
    });
    Ok(Loaded { tera: [zh?, en?], words, looked: Instant::now(), stamp: stamp() })
}

fn functions(tera: &mut Tera, lang: Lang, words: &Arc<Words>) {
    let all = Arc::clone(words);
    tera.register_function("t", move |kwargs: Kwargs, _: &State| -> TeraResult<String> {
        let key = kwargs.must_get::<&str>("key")?.to_owned();
        let mut args = BTreeMap::new();
        for (name, value) in kwargs.iter() {
            args.insert(name.to_string(), fluent(value));
        }
        let said = all.say(lang, &key, args.iter().map(|(name, value)| (name.as_str(), value.clone())));
        said.or_else(|error| {
            if cfg!(debug_assertions) {
                return Err(tera::Error::message(error));
            }
            tracing::error!(%error, "text missing");
            Ok(key)
        })
    });
    tera.register_function("asset", |kwargs: Kwargs, _: &State| -> TeraResult<String> {
        let path = kwargs.must_get::<&str>("path")?;
        assets::address(path).ok_or_else(|| tera::Error::message(format!("no static file {path:?}")))
    });
}

fn fluent(value: &Value) -> FluentValue<'static> {
    match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => FluentValue::from(whole),
        (None, Some(real)) if value.is_number() => FluentValue::from(real),
        _ => FluentValue::from(value.to_string()),
    }
}

/// A time out of a template's value: RFC 3339 as serde writes it, or milliseconds since 1970.
fn timestamp(value: &Value) -> TeraResult<Timestamp> {
    let parsed = match (value.as_str(), value.as_i64()) {
        (Some(text), _) => text.parse::<Timestamp>().map_err(|e| e.to_string()),
        (None, Some(millis)) => Timestamp::from_millisecond(millis).map_err(|e| e.to_string()),
        _ => Err("neither a text nor a number".into()),
    };
    parsed.map_err(|e| tera::Error::message(format!("{value} is not a time: {e}")))
}

fn filters(tera: &mut Tera, lang: Lang, zone: &TimeZone) {
    tera.register_filter("num", |value: &Value, kwargs: Kwargs, _: &State| -> TeraResult<String> {
        let decimals = kwargs.get::<u8>("digits")?;
        match (value.as_i64(), value.as_f64(), decimals) {
            (Some(whole), _, None) => Ok(format::integer(whole)),
            (_, Some(real), decimals) => {
                Ok(format::decimal(real, usize::from(decimals.unwrap_or(2).min(17))))
            }
            _ => Err(tera::Error::message(format!("num: {value} is not a number"))),
        }
    });
    tera.register_filter("percent", |value: f64, kwargs: Kwargs, _: &State| -> TeraResult<String> {
        let decimals = usize::from(kwargs.get::<u8>("digits")?.unwrap_or(0).min(9));
        Ok(format!("{}\u{202f}%", format::decimal(value * 100.0, decimals)))
    });
    tera.register_filter("size", |bytes: i64, _: Kwargs, _: &State| format::size(bytes));
    tera.register_filter("duration", move |seconds: i64, _: Kwargs, _: &State| {
        format::duration(lang, seconds)
    });
    let here = zone.clone();
    tera.register_filter("when", move |value: &Value, _: Kwargs, _: &State| -> TeraResult<Value> {
        let at = timestamp(value)?;
        Ok(time_element(at, &format::minute(at, &here), &format::exact(at, &here), "minute"))
    });
    let here = zone.clone();
    tera.register_filter("day", move |value: &Value, _: Kwargs, _: &State| -> TeraResult<Value> {
        let at = timestamp(value)?;
        Ok(time_element(at, &format::day(at, &here), &format::exact(at, &here), "day"))
    });
    tera.register_filter("iso", |value: &Value, _: Kwargs, _: &State| -> TeraResult<String> {
        Ok(timestamp(value)?.to_string())
    });
    tera.register_filter("markdown", |text: &str, _: Kwargs, _: &State| {
        Value::safe_string(&markdown::render(text))
    });
    tera.register_filter("urlencode", |text: &str, _: Kwargs, _: &State| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    });
}

/// The parts are ours: digits, dashes and the like; nothing to escape.
fn time_element(at: Timestamp, shown: &str, exact: &str, form: &str) -> Value {
    Value::safe_string(&format!(
        "<time datetime=\"{at}\" title=\"{exact}\" data-form=\"{form}\">{shown}</time>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(template: &str, context: &Context) -> TeraResult<String> {
        let mut tera = Tera::new();
        let zone = format::zone("Asia/Shanghai");
        functions(&mut tera, Lang::En, &Arc::new(Words::load().unwrap()));
        filters(&mut tera, Lang::En, &zone);
        tera.add_raw_template("x.html", template)?;
        tera.render("x.html", context)
    }

    #[test]
    fn variables_are_escaped_and_only_html_templates_are_taken() {
        let mut context = Context::new();
        context.insert("name", "<b onclick=\"x\">'");
        let html = one("<a title=\"{{ name }}\">{{ name }}</a>", &context).unwrap();
        assert!(!html.contains("<b") && !html.contains("=\"x\""), "{html}");
        assert!(TemplateFiles::iter().all(|name| name.ends_with(".html")));
    }

    #[test]
    fn a_missing_text_is_an_error() {
        assert!(one("{{ t(key=\"no-such-text\") }}", &Context::new()).is_err());
    }

    #[test]
    fn arguments_of_texts_are_escaped_once() {
        let mut context = Context::new();
        context.insert("n", "<1>");
        let html = one("{{ t(key=\"greeting\", name=n) }}", &context).unwrap();
        assert!(html.contains("&lt;1&gt;") && !html.contains("&amp;lt;"), "{html}");
    }

    #[test]
    fn times_carry_their_machine_readable_form() {
        let mut context = Context::new();
        context.insert("at", &Timestamp::from_millisecond(1_782_869_400_000).unwrap());
        let html = one("{{ at | when }}", &context).unwrap();
        assert!(html.contains("datetime=\"2026-07-01T01:30:00Z\""), "{html}");
        assert!(html.contains(">2026-07-01 09:30<"), "{html}");
    }
}
