//! `/problems/{code}`: what a problem's `type` points at, for people.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use super::Problem;
use super::problem::status_code;
use crate::domain::ProblemCode;

/// `GET /problems/{code}`: the code's status, meaning and remedy, as plain text.
///
/// # Errors
/// 404 for a word that is no code.
pub async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let word = request.match_info().get("code").unwrap_or_default();
    let code = ProblemCode::from_word(word)
        .ok_or_else(|| Problem::new(ProblemCode::RouteNotFound, "No problem has this code."))?;
    let text = format!(
        "{} ({})\n\n{}.\n\n{}\n",
        code.as_str(),
        status_code(code),
        code.title(),
        code.help()
    );
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .body(text))
}
