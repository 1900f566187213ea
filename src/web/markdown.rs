//! Markdown of competition pages into clean HTML.

use std::collections::HashSet;

use pulldown_cmark::{Options, Parser, html};

/// Renders Markdown (CommonMark with tables, footnotes, strike-through, task lists). HTML in it is
/// cleaned: no scripts, styles, forms, frames or event handlers; links that leave open no window on
/// us. Pages come from organizers, who are trusted with their competition but not with our users.
pub fn render(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let mut raw = String::with_capacity(markdown.len() * 3 / 2);
    html::push_html(&mut raw, Parser::new_ext(markdown, options));
    clean(&raw)
}

/// Cleans HTML that came from outside.
pub fn clean(raw: &str) -> String {
    ammonia::Builder::default()
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .link_rel(Some("noopener noreferrer nofollow"))
        .id_prefix(Some("md-"))
        .clean(raw)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_handlers_and_styles_do_not_survive() {
        let page = "# Hi\n<script>alert(1)</script>\n<img src=x onerror=alert(1)>\n\
                    <a href=\"javascript:alert(1)\" style=\"position:fixed\">x</a>\n\n\
                    [y](javascript:alert(1))\n<form action=/x><input name=a></form><iframe src=/></iframe>";
        let html = render(page);
        assert!(html.contains("<h1>Hi</h1>"), "{html}");
        for bad in ["<script", "onerror", "javascript:", "style=", "<form", "<input", "<iframe"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
    }

    #[test]
    fn tables_are_tables() {
        assert!(render("| a | b |\n|---|---|\n| 1 | 2 |").contains("<td>1</td>"));
    }
}
