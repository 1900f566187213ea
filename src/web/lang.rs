//! The languages of the pages.

use std::fmt;

/// A language the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// 简体中文.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Zh, Self::En];

    /// The language tag (BCP 47), also the folder's name in `locales/`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }

    /// The language of a tag we know.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split(['-', '_']).next().unwrap_or("").to_ascii_lowercase();
        match primary.as_str() {
            "zh" => Some(Self::Zh),
            "en" => Some(Self::En),
            _ => None,
        }
    }

    /// The one an `Accept-Language` header (RFC 9110 section 12.5.4) prefers.
    pub fn from_accept(header: &str) -> Option<Self> {
        let mut best = None;
        for part in header.split(',').take(20) {
            let (tag, rest) = part.split_once(';').unwrap_or((part, "q=1"));
            let weight = rest.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
            let Some(lang) = Self::from_tag(tag) else { continue };
            if weight > 0.0 && best.is_none_or(|(_, before)| weight > before) {
                best = Some((lang, weight));
            }
        }
        best.map(|(lang, _)| lang)
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Zh => 0,
            Self::En => 1,
        }
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_we_speak_wins() {
        assert_eq!(Lang::from_accept("fr, en;q=0.5, zh-TW;q=0.9"), Some(Lang::Zh));
        assert_eq!(Lang::from_accept("en-GB,en;q=0.9"), Some(Lang::En));
        assert_eq!(Lang::from_accept("en;q=0, zh;q=0.1"), Some(Lang::Zh));
        assert_eq!(Lang::from_accept("fr, de"), None);
        assert_eq!(Lang::from_accept(";;q=,,"), None);
    }
}
