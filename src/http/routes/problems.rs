//! `/problems/{code}`: the page that a problem's `type` links to; the codes of operations
//! have one, too.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};

use actix_web::http::StatusCode;

use crate::domain::ProblemCode;
use crate::http::Problem;

/// `GET /problems/{code}`: where the code occurs, its meaning and remedy, as plain text.
///
/// # Errors
/// 404 for an unknown code.
pub async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let name = request.match_info().get("code").unwrap_or_default();
    let code = ProblemCode::from_name(name)
        .ok_or_else(|| Problem::new(ProblemCode::RouteNotFound, "Unknown problem code."))?;
    let place = if code.is_of_operation() {
        "error.code of an operation".to_owned()
    } else {
        StatusCode::from_u16(code.status())
            .unwrap_or_default()
            .to_string()
    };
    let text = format!(
        "{} ({place})\n\n{}.\n\n{}\n",
        code.as_str(),
        code.title(),
        code.help()
    );
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .body(text))
}
