//! `/problems/{code}`: the page that a problem's `type` links to; the codes of operations
//! have one, too. It holds no secret and needs no credential.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, Accept, Header, Quality};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::ProblemCode;
use crate::http::page::{self, escape};
use crate::http::{AppState, Problem, extract};

/// `GET /problems/{code}`: where the code occurs, what has happened, what to do and whether a
/// repetition helps; as a page for a browser, else as plain text.
///
/// # Errors
/// 404 for an unknown code.
pub async fn show(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let _logged = extract::access_log(&request)?;
    let name = request.match_info().get("code").unwrap_or_default();
    let code = ProblemCode::from_name(name)
        .ok_or_else(|| Problem::new(ProblemCode::RouteNotFound, "Unknown problem code."))?;
    let mut response = match prefers_html(&request) {
        true => page::response(as_page(code, &state.reply.public_url).into()),
        false => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
            .body(as_text(code)),
    };
    let accept = header::HeaderValue::from_static("Accept");
    response.headers_mut().insert(header::VARY, accept);
    Ok(response)
}

/// Whether `Accept` names HTML, and nothing that plain text fits with a higher quality: as
/// browsers do, while `*/*` and no preference at all mean text.
fn prefers_html(request: &HttpRequest) -> bool {
    let Ok(accept) = Accept::parse(request) else {
        return false;
    };
    let best = |is_one: fn(&str) -> bool| {
        let fitting = accept.iter().filter(|it| is_one(it.item.essence_str()));
        fitting.map(|it| it.quality).max().unwrap_or(Quality::ZERO)
    };
    let html = best(|media_type| media_type == "text/html");
    let text = best(|media_type| matches!(media_type, "text/plain" | "text/*"));
    html > Quality::ZERO && html >= text
}

/// Where the code occurs.
fn place(code: ProblemCode) -> String {
    match code.is_of_operation() {
        true => "error.code of an operation".to_owned(),
        false => StatusCode::from_u16(code.status())
            .unwrap_or_default()
            .to_string(),
    }
}

fn sections(code: ProblemCode) -> [(&'static str, &'static str); 3] {
    [
        ("What has happened", code.cause()),
        ("What to do", code.help()),
        ("Does repeating the request help?", code.retry_advice()),
    ]
}

fn as_text(code: ProblemCode) -> String {
    let (name, title) = (code.as_str(), code.title());
    let mut text = format!("{name} ({})\n\n{title}.\n", place(code));
    for (heading, section) in sections(code) {
        text.push_str(&format!("\n{heading}\n{section}\n"));
    }
    text
}

fn as_page(code: ProblemCode, public_url: &str) -> String {
    let name = code.as_str();
    let mut body = format!(
        "<p class=\"lead\"><code>{name}</code> · {}</p>\n<h1>{}</h1>\n",
        escape(&place(code)),
        escape(code.title())
    );
    for (heading, section) in sections(code) {
        body.push_str(&format!("<h2>{heading}</h2>\n{}\n", page::prose(section)));
    }
    let docs = escape(&format!("{public_url}/docs#problems"));
    body.push_str(&format!(
        "<p class=\"more\"><a href=\"{docs}\">All problems</a></p>\n"
    ));
    page::html(name, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_page_is_for_those_who_name_html() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, expected) in [
            (Some(browser), true),
            (Some("text/html"), true),
            (Some("text/html, text/plain"), true),
            (Some("text/html;q=0.5, text/*;q=0.7"), false),
            (Some("text/html;q=0"), false),
            (Some("text/plain"), false),
            (Some("application/json"), false),
            (Some("*/*"), false),
            (Some("nonsense"), false),
            (None, false),
        ] {
            let mut request = TestRequest::default();
            if let Some(accept) = accept {
                request = request.insert_header((header::ACCEPT, accept));
            }
            assert_eq!(
                prefers_html(&request.to_http_request()),
                expected,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn every_code_has_all_sections() {
        for code in ProblemCode::ALL {
            let (text, html) = (as_text(*code), as_page(*code, "https://gateway.test"));
            for (heading, section) in sections(*code) {
                assert!(section.ends_with('.'), "{code:?}: {section}");
                assert!(
                    text.contains(&format!("\n{heading}\n{section}\n")),
                    "{text}"
                );
                assert!(html.contains(&page::prose(section)), "{html}");
            }
        }
    }
}
