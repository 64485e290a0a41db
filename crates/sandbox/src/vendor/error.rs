//! The portal's error documents, one variant for each refusal. They have three shapes, which
//! clients must all take: an error object, a bare JSON string, and the web framework's `Message`.

use serde_json::{Value, json};

use crate::entra::TokenError;
use crate::wire::Response;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortalError {
    Token(TokenError),
    ApiVersion,
    BadRequest(String),
    Forbidden,
    /// No such offer.
    NoOffer(String),
    /// Something else that does not exist.
    NotFound(String),
    /// An unknown path.
    NoRoute(String),
    /// The request's method, and the allowed ones.
    Method(String, String),
    LengthRequired,
    /// PUT without If-Match on an offer that exists.
    Exists,
    /// PUT with an If-Match that does not match.
    Stale,
    /// Publish or golive while another operation runs.
    Running,
    /// Publish of an offer that fails validation.
    Invalid,
    /// The portal's own failure.
    Internal,
}

impl PortalError {
    pub(crate) fn response(&self) -> Response {
        match self {
            Self::Token(error) => unauthorized(*error),
            Self::ApiVersion => error(
                400,
                "InvalidAPIVersion",
                "Invalid api version. Allowed values are [2016-08-01-preview]",
            ),
            Self::BadRequest(message) => error(400, "BadRequest", message),
            Self::Forbidden => error(
                403,
                "Forbidden",
                "User does not have the required permissions",
            ),
            Self::NoOffer(offer) => not_found(&format!("Offer '{offer}' was not found.")),
            Self::NotFound(what) => not_found(what),
            Self::NoRoute(path) => Response::json(
                404,
                &json!({"Message": format!(
                    "No HTTP resource was found that matches the request URI '{path}'."
                )}),
            ),
            Self::Method(method, allowed) => Response::json(
                405,
                &json!({"Message": format!(
                    "The requested resource does not support http method '{method}'."
                )}),
            )
            .with("Allow", allowed.as_str()),
            Self::LengthRequired => Response::html(
                411,
                "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\">\
                 <HTML><HEAD><TITLE>Length Required</TITLE></HEAD>\
                 <BODY><h2>Length Required</h2><hr><p>HTTP Error 411. The request must be \
                 chunked or have a content length.</p></BODY></HTML>",
            ),
            Self::Exists => error(
                409,
                "InvalidResourceId",
                "Offer ID already exists. If you wanted to update an existing offer, please \
                 ensure If-Match header is specified as per documentation.",
            ),
            Self::Stale => error(
                412,
                "PreconditionFailed",
                "The offer was changed since it was read; the If-Match header does not match.",
            ),
            Self::Running => error(
                409,
                "Conflict",
                "Another operation is already running on this offer.",
            ),
            Self::Invalid => Response::json(
                422,
                &json!(
                    "Microsoft.Ingestion.Api.Common.Exceptions.Http422Exception: The offer did \
                     not pass validation. Errors: [{\"field\":\"plans\",\"message\":\"At least \
                     one plan must have a disk version.\"}]"
                ),
            ),
            Self::Internal => Response::json(
                500,
                &json!({"Variant": {
                    "serviceName": "Variant",
                    "error": "snapshot() resulted in an internal conflict! Retry is OK.",
                }}),
            ),
        }
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    Response::json(
        status,
        &json!({"error": {"code": code, "message": message}}),
    )
}

fn not_found(what: &str) -> Response {
    let text = format!("Microsoft.Ingestion.Api.Common.Exceptions.Http404Exception: {what}");
    Response::json(404, &Value::String(text))
}

fn unauthorized(rejected: TokenError) -> Response {
    let message = rejected.to_string();
    let (code, challenge) = match rejected {
        TokenError::OfferError => ("AuthenticationFailed", String::new()),
        TokenError::Expired => ("ExpiredAuthenticationToken", details(&message)),
        TokenError::Audience => ("InvalidAuthenticationTokenAudience", details(&message)),
        TokenError::Unknown | TokenError::Revoked => {
            ("InvalidAuthenticationToken", details(&message))
        }
    };
    error(401, code, &message).with(
        "WWW-Authenticate",
        format!("Bearer authorization_uri=\"https://login.microsoftonline.com/common\"{challenge}"),
    )
}

fn details(message: &str) -> String {
    format!(", error=\"invalid_token\", error_description=\"{message}\"")
}
