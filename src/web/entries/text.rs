//! Markdown of entries into HTML. Teams write it, and people who must not know them read it: HTML in it
//! is shown as text, pictures from elsewhere are left out (they would tell their server who looks), and
//! for blind judges names are blotted out in what is shown, not in how it is written: `Al**i**ce` and
//! `&#65;lice` read `Alice`.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::judging::entries::mask::{Names, blotted, joined};
use crate::web::markdown::clean;

/// Stands between paragraphs while names are looked for: no name reaches over it.
const BETWEEN: char = '¶';

/// Renders a text; with names to blot out for blind judges.
pub fn render(markdown: &str, names: Option<&Names>) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, options).filter_map(plain).collect();
    if let Some(names) = names {
        events = without_named_links(events, names);
        mask(&mut events, names);
    }
    let mut raw = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut raw, events.into_iter());
    clean(&raw)
}

/// An event as entries know it: HTML is text, a picture its description, headings stand below the page's.
fn plain(event: Event<'_>) -> Option<Event<'_>> {
    Some(match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => return None,
        Event::Start(Tag::Heading { level, .. }) => {
            let level = lower(level);
            Event::Start(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(lower(level))),
        Event::Start(Tag::CodeBlock(_)) => {
            Event::Start(Tag::CodeBlock(pulldown_cmark::CodeBlockKind::Indented))
        }
        event => event,
    })
}

/// The page has two levels above.
fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

/// Leaves out links whose address names somebody, and those that write to one; their text stays.
fn without_named_links<'a>(events: Vec<Event<'a>>, names: &Names) -> Vec<Event<'a>> {
    let mut kept = Vec::with_capacity(events.len());
    let mut open: Vec<bool> = Vec::new();
    for event in events {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let mail = dest_url.to_ascii_lowercase().starts_with("mailto:") || dest_url.contains('@');
                let keep = !mail && names.named_in_address(&dest_url).is_empty();
                open.push(keep);
                if keep {
                    let title = CowStr::from(names.mask(&title));
                    kept.push(Event::Start(Tag::Link { link_type, dest_url, title, id }));
                }
            }
            Event::End(TagEnd::Link) => {
                if open.pop().unwrap_or(true) {
                    kept.push(Event::End(TagEnd::Link));
                }
            }
            event => kept.push(event),
        }
    }
    kept
}

/// Blots out names in what the events show, also where one reaches over several.
fn mask(events: &mut [Event<'_>], names: &Names) {
    loop {
        let mut whole = String::new();
        let mut places = Vec::new();
        for (index, event) in events.iter().enumerate() {
            match event {
                Event::Text(text) | Event::Code(text) => {
                    places.push((index, whole.len()));
                    whole.push_str(text);
                }
                Event::SoftBreak | Event::HardBreak => whole.push('\n'),
                Event::Start(tag) if !is_inline(tag) => whole.push(BETWEEN),
                _ => {}
            }
        }
        let ranges = joined(names.find(&whole).into_iter().map(|(range, _)| range).collect());
        if ranges.is_empty() {
            return;
        }
        for (index, from) in places {
            if let Event::Text(text) | Event::Code(text) = &mut events[index] {
                *text = CowStr::from(blotted(text, from, &ranges));
            }
        }
    }
}

fn is_inline(tag: &Tag<'_>) -> bool {
    matches!(tag, Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_blotted_out_however_they_are_written() {
        let names = Names::new(["Alice", "王伟", "Li Wei"]);
        for text in [
            "by Al**i**ce",
            "&#65;lice",
            "by `alice`",
            "# alice\n王\n伟",
            "<b>Alice</b>",
            "Li\nWei and *Li* **Wei**",
            "[the code](https://git.example/alice2024)",
            "<https://git.example/alice2024>",
            "[x](https://a.cn \"by Alice\")",
            "![Alice](https://a.cn/alice.png)",
            "| Alice |\n|---|\n| 王伟 |",
            "~~王~~伟",
            "```alice\nAlice\n```",
            "mail <team@alice.example>",
        ] {
            let html = render(text, Some(&names));
            let shown = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
            let shown = shown.collect::<String>();
            assert!(
                names.find(&shown).is_empty() && !html.to_lowercase().contains("alice"),
                "{text}: {html}"
            );
            assert!(names.find(&html).is_empty(), "{text}: {html}");
        }
    }

    #[test]
    fn html_is_text_and_nothing_is_loaded_from_elsewhere() {
        let html = render("<script>x</script> <img src=//a.cn/x> ![way](https://a.cn/x.png)\n\n# Big", None);
        assert!(
            !html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"),
            "{html}"
        );
        assert!(html.contains("way") && html.contains("<h3>Big</h3>"), "{html}");
        let link = render("[x](https://a.cn) [y](javascript:alert(1))", None);
        assert!(
            link.contains("rel=\"noopener noreferrer nofollow\"") && !link.contains("javascript"),
            "{link}"
        );
    }

    proptest! {
        #[test]
        fn what_is_shown_names_nobody(text in "[*_`#|<>&;\\[\\]()al bo王伟\n-]{0,60}") {
            let names = Names::new(["al", "bo", "王伟"]);
            let html = render(&text, Some(&names));
            let shown: String = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, t)| t)).collect();
            let shown = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            for line in shown.lines() {
                prop_assert!(names.find(line).is_empty(), "{} of {:?}", html, text);
            }
        }
    }
}
