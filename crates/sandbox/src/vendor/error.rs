//! The portal's error documents, one variant a refusal. Three shapes occur: an error object,
//! a bare JSON string, and the web framework's own `Message`; clients must take all three.

use serde_json::{Value, json};

use crate::entra::Rejected;
use crate::wire::Answer;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Token(Rejected),
    ApiVersion,
    BadRequest(String),
    Forbidden,
    /// No such offer.
    NoOffer(String),
    /// Something else that is not there.
    Missing(String),
    /// A path that the portal does not have.
    Nowhere(String),
    /// The method asked for, and those there are.
    Method(String, String),
    LengthRequired,
    /// PUT without If-Match on an offer that exists.
    Exists,
    /// PUT with an If-Match that is not the offer's.
    Stale,
    /// Publish or golive while something runs.
    Running,
    /// Publish of an offer that would not pass.
    Invalid,
    /// The portal's own failure.
    Internal,
}

impl Fault {
    pub(crate) fn answer(&self) -> Answer {
        match self {
            Self::Token(rejected) => unauthorized(*rejected),
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
            Self::NoOffer(offer) => missing(&format!("Offer '{offer}' was not found.")),
            Self::Missing(what) => missing(what),
            Self::Nowhere(path) => Answer::json(
                404,
                &json!({"Message": format!(
                    "No HTTP resource was found that matches the request URI '{path}'."
                )}),
            ),
            Self::Method(method, allowed) => Answer::json(
                405,
                &json!({"Message": format!(
                    "The requested resource does not support http method '{method}'."
                )}),
            )
            .with("Allow", allowed.as_str()),
            Self::LengthRequired => Answer::html(
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
            Self::Invalid => Answer::json(
                422,
                &json!(
                    "Microsoft.Ingestion.Api.Common.Exceptions.Http422Exception: The offer did \
                     not pass validation. Errors: [{\"field\":\"plans\",\"message\":\"At least \
                     one plan must have a disk version.\"}]"
                ),
            ),
            Self::Internal => Answer::json(
                500,
                &json!({"Variant": {
                    "serviceName": "Variant",
                    "error": "snapshot() resulted in an internal conflict! Retry is OK.",
                }}),
            ),
        }
    }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer::json(
        status,
        &json!({"error": {"code": code, "message": message}}),
    )
}

fn missing(what: &str) -> Answer {
    let text = format!("Microsoft.Ingestion.Api.Common.Exceptions.Http404Exception: {what}");
    Answer::json(404, &Value::String(text))
}

fn unauthorized(rejected: Rejected) -> Answer {
    let message = rejected.to_string();
    let (code, challenge) = match rejected {
        Rejected::Absent => ("AuthenticationFailed", String::new()),
        Rejected::Expired => ("ExpiredAuthenticationToken", details(&message)),
        Rejected::Audience => ("InvalidAuthenticationTokenAudience", details(&message)),
        Rejected::Unknown | Rejected::Revoked => ("InvalidAuthenticationToken", details(&message)),
    };
    error(401, code, &message).with(
        "WWW-Authenticate",
        format!("Bearer authorization_uri=\"https://login.microsoftonline.com/common\"{challenge}"),
    )
}

fn details(message: &str) -> String {
    format!(", error=\"invalid_token\", error_description=\"{message}\"")
}
