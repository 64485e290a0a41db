//! Pages for people: HTML without scripts, whose only style is its own, so that they work
//! without any other site and under a strict Content-Security-Policy.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::web::Bytes;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// The style of every page. It stands in each, and the policy names its digest.
const STYLE: &str = include_str!("page.css");

/// Nothing but the style may be loaded, run, framed or sent from a page.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
});

/// A page as the answer to a request.
pub fn response(page: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .body(page)
}

/// A whole page around this body, which is HTML.
pub fn html(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} – offergate</title>\n<style>{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Text as HTML text or as a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Text in the little of Markdown that our texts use, as HTML: paragraphs, lists with `- ` and
/// `code`.
pub fn prose(text: &str) -> String {
    let blocks = text
        .split("\n\n")
        .map(|block| match block.strip_prefix("- ") {
            None => format!("<p>{}</p>", inline(block)),
            Some(items) => {
                let items = items.split("\n- ");
                let items: String = items
                    .map(|item| format!("<li>{}</li>", inline(item)))
                    .collect();
                format!("<ul>{items}</ul>")
            }
        });
    blocks.collect::<Vec<_>>().join("\n")
}

/// A line of such text.
pub fn inline(text: &str) -> String {
    let mut line = String::new();
    for (number, part) in text.split('`').enumerate() {
        let part = escape(part);
        match number % 2 {
            0 => line.push_str(&part),
            _ => line.push_str(&format!("<code>{part}</code>")),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let text = "<b a='\"'> & `<i>`";
        let expected = "&lt;b a=&#39;&quot;&#39;&gt; &amp; <code>&lt;i&gt;</code>";
        assert_eq!(inline(text), expected);
        assert_eq!(
            prose("a\n\n- b\n- c"),
            "<p>a</p>\n<ul><li>b</li><li>c</li></ul>"
        );
        assert!(html("<x>", "").contains("<title>&lt;x&gt; – offergate</title>"));
    }
}
