//! `/openapi.json` and `/docs`: the API's description, for machines and for people. They
//! hold no secret and need no credential.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::{AppState, Problem, extract, page};

/// `GET /openapi.json`
///
/// # Errors
/// 500 without the access log's middleware.
pub async fn openapi(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let _logged = extract::access_log(&request)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(state.contract.json()))
}

/// `GET /docs`
///
/// # Errors
/// As for [`openapi`].
pub async fn docs(
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let _logged = extract::access_log(&request)?;
    Ok(page::response(state.contract.page()))
}
